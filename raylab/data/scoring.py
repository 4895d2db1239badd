"""Exact match and F1 of a predicted answer, as TriviaQA defines them.

Source: Joshi et al. 2017, "TriviaQA" (arXiv 1705.03551), section 6, and the evaluation program published with it; the
same measures, but for TriviaQA's wider set of quote characters, are SQuAD's (Rajpurkar et al. 2016, arXiv 1606.05250).
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable

OF_QUESTIONS = {"bits_per_answer": False, "exact_match": True, "f1": True}
HIGHER_IS_BETTER = {  # every measure of every family
    **OF_QUESTIONS,
    "accuracy": True, "bits_per_label": False, "macro_f1": True, "matthews_correlation": True,
    "pearson": True, "spearman": True, "span_f1": True, "token_accuracy": True, "rouge_1": True, "rouge_2": True, "rouge_l": True,
}  # fmt: skip

_QUOTES = "\u2018\u2019\u00b4`"  # single quotes left and right, acute and grave accent
_PUNCTUATION_TO_SPACE = str.maketrans(dict.fromkeys(string.punctuation + _QUOTES, " "))  # "_" is among punctuation
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(answer: str) -> str:
    """Lower case; punctuation, quotes and underscores to spaces; the articles a, an, the out; single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION_TO_SPACE)).split())


def exact_match(prediction: str, answers: Iterable[str]) -> float:
    """1.0 if the prediction equals one of `answers` (all aliases) after normalisation, else 0.0."""
    return _best(lambda predicted, accepted: float(predicted == accepted), prediction, answers)


def f1(prediction: str, answers: Iterable[str]) -> float:
    """The harmonic mean of precision and recall of the prediction's words, in [0, 1]; the best over all aliases."""
    return _best(_word_f1, prediction, answers)


def _best(measure: Callable[[str, str], float], prediction: str, answers: Iterable[str]) -> float:
    predicted = normalise(prediction)
    return max((measure(predicted, normalise(answer)) for answer in answers), default=0.0)


def _word_f1(predicted: str, accepted: str) -> float:
    predicted_words, accepted_words = predicted.split(), accepted.split()
    shared = (Counter(predicted_words) & Counter(accepted_words)).total()
    return 2 * shared / (len(predicted_words) + len(accepted_words)) if shared else 0.0
