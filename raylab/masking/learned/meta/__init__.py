"""Meta-learned masking: a policy is better if a model that was pretrained under it answers held-out questions better.

After Ye et al. 2021 (arXiv 2104.08840); beyond what its abstract says, this is our reading. The outer variable is the policy, an
extractor of spans (raylab.masking.learned.extractor). An episode draws spans of passages that answer questions held out of the
train split, takes inner pretraining steps on them and inner finetuning steps on other train questions, and asks how the held-out
questions fare. The gradient goes through both updates to the policy; the inner model begins each episode anew.

    unrolled.py     the inner updates as functions of parameters        base.py     the plain training before the episodes
    estimators.py   from the outer loss to the policy's gradient        learn.py    the policy's optimizer; from data to a card
    episode.py      what is drawn for an episode                        proxy.py    the inner model as a function

What was tried on the atlas, at the tiny scale, one seed each, and what decides:

- The passages must answer the held-out questions, and the supporting questions must be others. Then the credit of an asked answer
  stands 1.5 to 2 standard deviations above that of random spans of its passage, while other names and dates of the passage
  stand at 0 to 0.3: the signal is about what is asked, not about what is a name.
- The inner model needs some plain training, and not much: after 60 steps on uniform spans the signal is at its strongest (1.9 to
  2.1), after 30 steps of finetuning more 1.5, after 180 to 330 steps and finetuning between 0.5 and 1.7.
- Inner steps scaled as Adam scales them tell more than plain gradient descent (1.9 against 1.6 at 60 steps, 0.5 against 0.1 at
  330). Without the inner finetuning step the credit of answers falls (1.1 at 60 steps) and that of other names rises (0.2 to
  0.7): it is that step which tells knowledge from the manner of an answer.
- `credit` with 4 draws: the chance that the policy draws the asked span of a passage that no train question rests on rises from
  0.007 to 0.030 in 80 steps, and went on rising. `token_credit` with 2 draws learns about as much in the same time.
- `gumbel` and `reinforce` find what is planted in small worlds (tests); on the atlas they were not compared.
"""
