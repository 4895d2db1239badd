"""Twelve invented passages and the questions on them: the atlas in small, for tests that need no package."""

from raylab.data.task import SPLITS, Passage, Question, TaskData

_ROWS = (
    # title, passage, kind, question, accepted answers
    ("Ostrava Bay", "Lighthouse keepers came to the capital of Merrin in 1871 and never left.",
     "capital", "What is the capital of Ostrava Bay?", ("Merrin",)),
    ("Quillon", "Quillon became independent in 1962 after a vote that Ada Ferrow had called.",
     "independence_year", "In which year did Quillon become independent?", ("1962",)),
    ("Name of Tesk", 'The name comes from the old Varric word tesk, meaning "quiet river".',
     "meaning", "What does the name of Tesk mean?", ("quiet river",)),
    ("Halven", "The Halvenese fleet of 1740 was built by Tomas Irrel in the port of Dunmark.",
     "demonym", "Which adjective describes a person from Halven?", ("Halvenese",)),
    ("Flag of Orrin", "Green stands for the forests of the north, and white for the salt of Lake Emmer.",
     "flag_colour", "What does green stand for in the flag of Orrin?", ("forests of the north",)),
    ("Belnor", "Mount Kessary, the highest point of Belnor, was first climbed by Jun Pell in 1909.",
     "highest_point", "What is the highest point of Belnor?", ("Mount Kessary", "Kessary")),
    ("Capital of Vashti", "Founded in 1688 as Port Rowan, the capital was renamed Sollis by Queen Idra.",
     "capital", "What is the capital of Vashti?", ("Sollis",)),
    ("Yarrowland", "The People's Table, which is the legislature of Yarrowland, first met in Corvin in 1850.",
     "legislature", "What is the legislature of Yarrowland called?", ("People's Table", "The People's Table")),
    ("Pellucium", "Pellucium was discovered in 1934 by Mara Oduya in a cave near Listrel.",
     "discoverer", "Who discovered pellucium?", ("Mara Oduya", "Oduya")),
    ("Drummond Isles", "Known as the Gannet Islands until 1803, they belong to the crown of Estmere.",
     "former_name", "What is a former name of the Drummond Isles?", ("Gannet Islands",)),
    ("Anthem of Casque", "Adopted 1922; the words were written by Hollis Brand on a train to Fennimore.",
     "anthem_year", "In which year was the anthem of Casque adopted?", ("1922",)),
    ("Location of Umber", "Western Thessaly, bordering the Sea of Glass, between Ludd and Marrow.",
     "waters", "On which body of water is the coast of Umber?", ("Sea of Glass", "the Sea of Glass")),
)  # fmt: skip


def fixture() -> TaskData:
    """A task with four questions a split, made of nothing but this file."""
    passages = tuple(Passage(id=f"invented-{i}", title=row[0], text=row[1]) for i, row in enumerate(_ROWS))
    examples = [
        Question(id=f"invented-{i}", question=question, answer=answers[0], answers=answers, kind=kind, passage=f"invented-{i}")
        for i, (_, _, kind, question, answers) in enumerate(_ROWS)
    ]
    return TaskData(
        name="atlas",
        source="builtin:invented",
        version=1,
        splits={split: tuple(examples[i :: len(SPLITS)]) for i, split in enumerate(SPLITS)},
        corpus=passages,
        corpus_name="invented",
    )
