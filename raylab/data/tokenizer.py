"""Tokenizers: a pretrained one by name or path, or a byte-level BPE trained on the corpus itself."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from raylab.errors import UserError
from raylab.masking.corrupt import Symbols

SENTINELS = 32  # more spans than that in one short passage are rare; corrupt() says what happens to them
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def train_bpe(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `vocab_size` entries (Sennrich et al. 2016; bytes as in GPT-2), special tokens included.

    It has the special tokens of SPECIAL and T5's sentinels, and sets nothing before or after a text by itself.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    sentinels = [f"<extra_id_{i}>" for i in range(SENTINELS)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL.values(), *sentinels],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=sentinels, **SPECIAL)


def load_tokenizer(name_or_path: str) -> PreTrainedTokenizerBase:
    """A pretrained fast tokenizer; where it has no eos, its sep (BERT's) serves as one. Raises UserError if it is not there, has
    no offsets, or lacks pad and eos."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"no tokenizer at {name_or_path!r}: {reason} Give a folder with tokenizer.json, or a Hub name that is reachable."
        ) from error
    if not tokenizer.is_fast:
        raise UserError(f"the tokenizer of {name_or_path!r} has no fast version; raylab needs its character offsets.")
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.sep_token
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of {name_or_path!r} has no pad token, or neither eos nor sep; a model needs both.")
    return tokenizer


def ids_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of every text, with nothing set before or after."""
    if not texts:
        return []  # transformers takes no empty batch
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)[
        "input_ids"
    ]
    return ids


def offsets_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Where every token of `ids_of` begins and ends in its text, in characters, one after the other."""
    if not texts:
        return []
    pairs = tokenizer(
        list(texts), add_special_tokens=False, return_attention_mask=False, return_offsets_mapping=True, verbose=False
    )["offset_mapping"]
    return [[place for pair in text for place in pair] for text in pairs]


def symbols_of(tokenizer: PreTrainedTokenizerBase) -> Symbols:
    """The ids that masking writes. T5's sentinels where the vocabulary has them, else the mask token."""
    vocabulary = tokenizer.get_vocab()
    sentinels: list[int] = []
    while (name := f"<extra_id_{len(sentinels)}>") in vocabulary:
        sentinels.append(vocabulary[name])
    if tokenizer.mask_token_id is None and not sentinels:
        raise UserError("this tokenizer has neither a mask token nor sentinels (<extra_id_0>); masking needs one of them.")
    return Symbols(
        pad=tokenizer.pad_token_id,
        eos=tokenizer.eos_token_id,
        mask=sentinels[0] if tokenizer.mask_token_id is None else tokenizer.mask_token_id,
        sentinels=tuple(sentinels),
        vocab_size=len(tokenizer),
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the tokenizer in the form that `load_tokenizer(folder)` and transformers read."""
    tokenizer.save_pretrained(folder)
