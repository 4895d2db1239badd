"""The commonsense datasets of the MUPPET list, and COPA, as our reading has it. All fixture rows are invented."""

import re

from raylab.data.rows import Row
from raylab.data.table import Layout, entry

LETTERED: Layout = {"text": "question", "choices": "choices.text", "letters": "choices.label", "label": "answerKey"}
THREE = {"train": "train", "dev": "validation", "test": "test"}
ARC_ROWS = (
    ("Which of these is a metal?", {"text": ["iron", "wood", "glass", "wool"], "label": ["A", "B", "C", "D"]}, "A"),
    ("Which of these floats?", {"text": ["a stone", "a cork", "a nail"], "label": ["1", "2", "3"]}, "2"),
)


def _math_qa(row: Row) -> Row:
    """MathQA's options are one text: "a ) 38 , b ) 27.675 , c ) 30"."""
    options = re.split(r"\s*,?\s*\b[a-e] \) ", f" {row['options']}")[1:]
    return {**row, "choices": options}


ENTRIES = (
    entry(
        "hellaswag",
        "Rowan/hellaswag",
        {"text": "ctx", "choices": "endings", "label": "label"},
        [
            ("She lifts the oar. She", ["rows to the bank.", "eats the lake.", "is a lamp.", "sings to the oar."], "0"),
            ("He opens the tin. He", ["sails it.", "takes a biscuit out.", "reads its mind.", "is opened."], "1"),
        ],
        licence="MIT",
        source="Zellers et al. 2019, arXiv 1905.07830",
    ),
    entry(
        "swag",
        "allenai/swag",
        {"text": ("sent1", "sent2"), "choices": ("ending0", "ending1", "ending2", "ending3"), "label": "label"},
        [
            ("A man climbs the ladder.", "He", "paints the sill.", "drinks it.", "becomes a tree.", "sleeps on the sea.", 0),
            ("A dog sees a ball.", "It", "votes.", "runs after it.", "melts.", "reads.", 1),
        ],
        config="regular",
        licence="unknown: see the Hub's card",
        source="Zellers et al. 2018, arXiv 1808.05326",
    ),
    entry(
        "commonsenseqa",
        "tau/commonsense_qa",
        LETTERED,
        [
            (
                "Where is an oar kept?",
                {"text": ["boat", "oven", "purse", "tree", "sky"], "label": ["A", "B", "C", "D", "E"]},
                "A",
            ),
            (
                "What is soup eaten with?",
                {"text": ["fork", "spoon", "saw", "pen", "key"], "label": ["A", "B", "C", "D", "E"]},
                "B",
            ),
        ],
        licence="MIT",
        source="Talmor et al. 2019, arXiv 1811.00937",
    ),
    entry(
        "cosmosqa",
        "allenai/cosmos_qa",
        {"text": ("context", "question"), "choices": ("answer0", "answer1", "answer2", "answer3"), "label": "label"},
        [
            (
                "The lamp went out as the storm began.",
                "Why is it dark?",
                "The power failed.",
                "It is noon.",
                "Nobody paid.",
                "No reason.",
                0,
            ),
            ("Lea packed her coat.", "What is the season?", "Summer.", "Winter.", "None.", "All of them.", 1),
        ],
        licence="CC BY 4.0",
        source="Huang et al. 2019, arXiv 1909.00277",
    ),
    entry(
        "openbookqa",
        "allenai/openbookqa",
        {"text": "question_stem", "choices": "choices.text", "letters": "choices.label", "label": "answerKey"},
        [
            ("Ice melts when it is", {"text": ["warmed", "cooled", "painted", "named"], "label": ["A", "B", "C", "D"]}, "A"),
            ("A shadow needs", {"text": ["sound", "light", "salt", "wind"], "label": ["A", "B", "C", "D"]}, "B"),
        ],
        config="main",
        splits=THREE,
        licence="unknown: see the Hub's card",
        source="Mihaylov et al. 2018, arXiv 1809.02789",
    ),
    entry(
        "arc_easy",
        "allenai/ai2_arc",
        LETTERED,
        ARC_ROWS,
        config="ARC-Easy",
        splits=THREE,
        licence="CC BY-SA 4.0",
        source="Clark et al. 2018, arXiv 1803.05457",
    ),
    entry(
        "arc_challenge",
        "allenai/ai2_arc",
        LETTERED,
        ARC_ROWS,
        config="ARC-Challenge",
        splits=THREE,
        licence="CC BY-SA 4.0",
        source="Clark et al. 2018, arXiv 1803.05457",
    ),
    entry(
        "sciq",
        "allenai/sciq",
        {
            "text": "question",
            "choices": ("correct_answer", "distractor1", "distractor2", "distractor3"),
            "label": "correct_answer",
        },
        [
            ("What gas do plants take in?", "carbon dioxide", "helium", "neon", "argon"),
            ("What force pulls things down?", "gravity", "colour", "heat", "taste"),
        ],
        splits=THREE,
        licence="CC BY-NC 3.0",
        source="Welbl et al. 2017, arXiv 1707.06209",
    ),
    entry(
        "math_qa",
        "allenai/math_qa",
        {"text": "Problem", "choices": "choices", "label": "correct"},
        [
            (
                "a boat goes 12 km in 3 hours . how fast is it ?",
                "a ) 4 km / h , b ) 3 km / h , c ) 12 , d ) 9 , e ) none of these",
                "a",
            ),
            ("what is a third of 2,700 ?", "a ) 300 , b ) 900 , c ) 2,700 , d ) 30 , e ) 9", "b"),
        ],
        raw=("Problem", "options", "correct"),
        reshape=_math_qa,
        splits=THREE,
        labels=("a", "b", "c", "d", "e"),
        licence="Apache-2.0",
        source="Amini et al. 2019, arXiv 1905.13319",
    ),
    entry(
        "race",
        "ehovy/race",
        {"text": ("article", "question"), "choices": "options", "label": "answer"},
        [
            ("Hal walked to Jura in two days.", "How did Hal travel?", ["On foot.", "By boat.", "By air.", "Not at all."], "A"),
            ("Hal walked to Jura in two days.", "How long did he take?", ["A day.", "Two days.", "A week.", "A year."], "B"),
        ],
        config="all",
        splits=THREE,
        licence="other: for research alone",
        source="Lai et al. 2017, arXiv 1704.04683",
    ),
    entry(
        "copa",
        "aps/super_glue",
        {"text": ("premise", "question"), "choices": ("choice1", "choice2"), "label": "label"},
        [
            ("The road was wet.", "cause", "It had rained.", "It was painted.", 0),
            ("The cup fell.", "effect", "It flew.", "It broke.", 1),
        ],
        config="copa",
        licence="other: see each task of SuperGLUE",
        source="Roemmele et al. 2011, Choice of Plausible Alternatives",
    ),
)
