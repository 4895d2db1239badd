"""The reading comprehension datasets of the MUPPET list, as our reading has it: questions whose answer is a span of the passage;
others are left out and counted. Natural Questions, TriviaQA and NewsQA are those of the MRQA 2019 shared task (Fisch et al. 2019,
arXiv 1910.09753), cut to passages. All fixture rows are invented."""

from raylab.data.fields import at
from raylab.data.rows import Row
from raylab.data.table import Layout, entry

MRQA: Layout = {"text": "context", "question": "question", "answers": "answers"}
MRQA_ROWS = (
    ("The Bell of Corva rang in 1739.", "when did the bell of corva ring", ["1739"]),
    ("Tam Ulver built the mill of Castorel.", "who built the mill of castorel", ["Tam Ulver", "Ulver"]),
)


def _hotpot(row: Row) -> Row:
    """HotpotQA's passages are lists of sentences."""
    texts = [" ".join(sentences) for sentences in at(row, "context.sentences") or ()]
    return {**row, "passage": " ".join(text.strip() for text in texts)}


ENTRIES = (
    entry(
        "squad",
        "rajpurkar/squad",
        {"text": "context", "question": "question", "answers": "answers.text", "starts": "answers.answer_start"},
        [
            ("Dunmere lies on the Dell.", "On which river is Dunmere?", {"text": ["Dell", "the Dell"], "answer_start": [20, 16]}),
            ("Zoe Abt was its mayor.", "Who was mayor?", {"text": ["Zoe Abt"], "answer_start": [0]}),
        ],
        licence="CC BY-SA 4.0",
        source="Rajpurkar et al. 2016, arXiv 1606.05250",
    ),
    entry(
        "natural_questions",
        "lucadiliello/naturalquestionsshortqa",
        MRQA,
        MRQA_ROWS,
        licence="CC BY-SA 3.0",
        source="Kwiatkowski et al. 2019, Natural Questions",
    ),
    entry(
        "drop",
        "ucinlp/drop",
        {"text": "passage", "question": "question", "answers": "answers_spans.spans"},
        [
            ("Garn scored twice, Hask once.", "Who scored twice?", {"spans": ["Garn"], "types": ["span"]}),
            ("Garn scored twice, Hask once.", "How many goals?", {"spans": ["3"], "types": ["number"]}),
        ],
        licence="CC BY-SA 4.0",
        source="Dua et al. 2019, arXiv 1903.00161",
    ),
    entry(
        "hotpotqa",
        "hotpotqa/hotpot_qa",
        {"text": "passage", "question": "question", "answers": "answer"},
        [
            (
                {
                    "title": ["Kenn", "Jo Kast"],
                    "sentences": [["The Kenn is a river.", " It passes Kelmora."], ["Jo Kast was born in Kelmora."]],
                },
                "Which river passes the birthplace of Jo Kast?",
                "Kenn",
            ),
            ({"title": ["Kenn"], "sentences": [["The Kenn is a river."]]}, "Is the Kenn a river?", "yes"),
        ],
        raw=("context", "question", "answer"),
        reshape=_hotpot,
        config="distractor",
        licence="CC BY-SA 4.0",
        source="Yang et al. 2018, arXiv 1809.09600",
    ),
    entry(
        "triviaqa_reading",
        "lucadiliello/triviaqa",
        MRQA,
        MRQA_ROWS,
        licence="Apache-2.0, its authors say",
        source="Joshi et al. 2017, arXiv 1705.03551",
    ),
    entry(
        "newsqa",
        "lucadiliello/newsqa",
        MRQA,
        MRQA_ROWS,
        licence="other: CNN's texts",
        source="Trischler et al. 2017, arXiv 1611.09830",
    ),
)
