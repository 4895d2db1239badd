"""Meta-learned masking: a policy is better if a model that was pretrained under it answers held-out questions better.

After Ye et al. 2021 (arXiv 2104.08840); beyond what its abstract says, this is our reading. The outer variable is the policy, an
extractor of spans (raylab.masking.learned.extractor). An episode draws spans of passages that answer questions held out of the
train split, takes inner pretraining steps on them and inner finetuning steps on other train questions, and asks how the held-out
questions fare. The gradient goes through both updates to the policy; the inner model begins each episode anew.

    unrolled.py     the inner updates as functions of parameters        base.py     the plain training before the episodes
    estimators.py   from the outer loss to the policy's gradient        source.py   which episodes there are, and their draws
    episode.py      what is drawn for an episode                        updates.py  the policy's optimizer
    proxy.py        the inner model as a function                       learn.py    from data to a card

What was tried on the atlas, at the tiny scale, one seed each, and what decides. "Signal" is how far the credit of an asked answer
stands above that of random spans of its passage, in standard deviations of theirs:

- An episode of one question. Of 16 passages and their 16 questions the signal is 2.0, and an answer has more credit than 75 % of
  the random spans; of 4, 4.2 and 91 %; of one passage and its own question 7.4 and 97 %. What a passage does to the questions of
  others is noise.
- The passages must answer the held-out questions, and the supporting questions must be others. Other names and dates of a passage
  have next to no credit (0 to 0.3, of 16 questions): the signal is about what is asked, not about what is a name.
- The inner model needs some plain training, and not much: after 60 steps on uniform spans the signal is at its strongest, after
  180 to 330 steps and finetuning at a quarter to three quarters of that.
- Inner steps scaled as Adam scales them tell more than plain gradient descent. The inner finetuning step adds to the signal (7.4
  against 5.1 without it, of one question) and keeps down that of other names: it tells knowledge from the manner of an answer.
- Draws may serve many updates, if these move towards the better policy that the draws tell of (`improved`). After 150 updates on
  416 episodes of the uniform policy, of the tokens that the policy hides in passages it was not taught, 0.27 are answers'
  tokens by importance weights (`credit`), 0.33 to 0.36 by `improved`, and 0.42 with dropout, without which it learns its
  passages by heart. The uniform policy has 0.14, one learned by supervision 0.63 to 0.68.
- As it is by default, over five seeds: 0.38 to 0.44, and the best span of a passage is an answer that dev asks for in 25 to 32 %
  of the passages (by supervision 66 to 71 %). With 16 questions an episode and one update on each, in twice the time, it was
  0.31 to 0.42 and 8 to 19 %. What limits it is likely to be how few episodes there are: 448, for 809 questions.
- `gumbel` and `reinforce` find what is planted in small worlds (tests); on the atlas they were not compared.
"""
