"""Texts from files that come with packages, cut into articles and into windows of tokens."""

from __future__ import annotations

import bz2
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import torch
from support.packaged import packaged_file

WIKIPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
NEWS = "lee_background.cor"

MISSING = (
    "no text: install the package it comes in, `pip install --no-deps gensim` (86 articles of "
    "the English Wikipedia are among its test data; it is not imported), or give --text PATH"
)


def packaged_text(name: str) -> Path | None:
    """A file of gensim's test data, found without importing the package."""
    return packaged_file("gensim", f"test/test_data/{name}")


def read_articles(path: Path) -> list[str]:
    """Articles in a file: a Wikipedia dump (.bz2), or plain text with one on each line."""
    if path.suffix != ".bz2":
        lines = path.read_text(errors="replace").splitlines()
        return [line.strip() for line in lines if len(line) > 200]
    articles = []
    with bz2.open(path) as file:
        for _, element in ElementTree.iterparse(file):
            if element.tag.endswith("}text"):
                text = plain_text(element.text or "")
                if len(text) > 2_000:
                    articles.append(text)
    return articles


def plain_text(markup: str) -> str:
    """The running text of an article in MediaWiki markup.

    >>> plain_text("'''Water''' is [[liquid|a liquid]].<ref>1</ref> {{cite|{{x}}}}")
    'Water is a liquid.'
    """
    text = re.sub(r"<!--.*?-->|<ref[^>/]*/>|<ref.*?</ref>|<math.*?</math>", "", markup, flags=re.S)
    for nested in (r"\{\{[^{}]*\}\}", r"\{\|(?:(?!\{\|).)*?\|\}"):
        text = _until_stable(nested, "", text)
    text = _until_stable(
        r"\[\[(?:File|Image|Category):[^\[\]]*(?:\[\[[^\[\]]*\]\][^\[\]]*)*\]\]", "", text
    )
    text = re.sub(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]", r"\1", text)
    text = re.sub(r"\[https?://\S+ ?([^\]]*)\]", r"\1", text)
    text = re.sub(r"<[^>]+>|'{2,}", "", text).replace("&nbsp;", " ")
    # Lists and tables of links are no sentences.
    lines = (line.strip() for line in text.splitlines())
    kept = [line for line in lines if line and line[0] not in "=*#|!:;{}"]
    return re.sub(r"[ \t]+", " ", "\n".join(kept)).strip()


def _until_stable(pattern: str, new: str, text: str) -> str:
    while (shorter := re.sub(pattern, new, text, flags=re.S)) != text:
        text = shorter
    return text


@dataclass(frozen=True)
class Windows:
    """Token windows: ``tokens`` [windows, length], ``article`` [windows] they are from."""

    tokens: torch.Tensor
    article: torch.Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def first(self, count: int) -> Windows:
        """The first windows; they come in random order."""
        return Windows(self.tokens[:count], self.article[:count])

    def batches(self, size: int) -> list[torch.Tensor]:
        """Batches [size, length]."""
        return list(self.tokens.split(size))


def cut(
    articles: Sequence[str],
    encode: Callable[[str], list[int]],
    *,
    length: int,
    per_article: int | None = None,
    start: int | None = None,
    seed: int = 0,
) -> Windows:
    """Windows of tokens of articles, in random order.

    Args:
        articles: their texts.
        encode: text to token numbers.
        length: tokens of a window.
        per_article: at most so many windows of one article, so that a long one does not
            stand for all.
        start: token that every window begins with, if the model wants one.
        seed: of the order.
    """
    windows, origin = [], []
    lead = [] if start is None else [start]
    step = length - len(lead)
    for number, text in enumerate(articles):
        tokens = encode(text)
        pieces = [lead + tokens[i : i + step] for i in range(0, len(tokens) - step + 1, step)]
        for piece in pieces[:per_article]:
            windows.append(piece)
            origin.append(number)
    order = list(range(len(windows)))
    random.Random(seed).shuffle(order)
    return Windows(
        torch.tensor([windows[i] for i in order]), torch.tensor([origin[i] for i in order])
    )


def split(articles: Sequence[str], parts: Sequence[int], seed: int = 0) -> list[list[str]]:
    """Articles at random into disjoint parts of these sizes, and one of those left."""
    order = list(range(len(articles)))
    random.Random(seed).shuffle(order)
    result, begun = [], 0
    for size in (*parts, len(articles) - sum(parts)):
        result.append([articles[i] for i in order[begun : begun + size]])
        begun += size
    return result
