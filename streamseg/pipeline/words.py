"""Which words a stream is segmented with: what the user asked for, and what competes with it."""

from ..config.run import VocabularySettings
from ..errors import ConfigError, VocabularyError
from ..vocabulary import BUILTIN_VOCABULARIES, TRAINING_VOCABULARY, Vocabulary

__all__ = ["choose_vocabulary", "vocabulary_for"]


def choose_vocabulary(
    classes: str | None, vocabulary: str | None, background: str | None = None, *, default: str = TRAINING_VOCABULARY
) -> Vocabulary:
    """The vocabulary that `--classes`, `--vocabulary` and `--background` ask for; without the first two, `default`.

    A few words alone would have to share all pixels among them, so words of the user's own get those of `default` as
    background, unless they bring a background or `background` is "none".
    """
    if classes is not None and vocabulary is not None:
        raise ConfigError("both --classes and --vocabulary are given, expected one of them: leave one out")
    own = True
    if classes is not None:
        if classes.strip().casefold() in BUILTIN_VOCABULARIES:
            name = classes.strip()
            raise VocabularyError(
                f"--classes {name!r} is the name of a built-in vocabulary: pass --vocabulary {name}, or write "
                f"{name + ':thing'!r} if it is what to look for"
            )
        words = Vocabulary.parse(classes)
    else:
        name = default if vocabulary is None else vocabulary
        words = Vocabulary.resolve(name)
        own = not any(part.strip().casefold() in BUILTIN_VOCABULARIES for part in name.split("+"))
    if background != "none" and own and not words.background:
        return words.with_background(Vocabulary.load(default))
    return words


def vocabulary_for(
    run: VocabularySettings, *, classes: str | None, vocabulary: str | None, background: str | None, default: str
) -> Vocabulary:
    """The words of one stream: its own where it has any, else the run's."""
    own = classes is not None or vocabulary is not None
    return choose_vocabulary(
        classes if own else run.classes,
        vocabulary if own else run.vocabulary,
        background or run.background,
        default=default,
    )
