"""The converters that `markup.py` compares, in the peers' environment, each as its documentation does it first.

selectolax parses only, so its converter walks the tree of the small HTML that forums write; resiliparse gives plain
text, with the structure of lists and paragraphs but no Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import html2text
import html_to_markdown
import markdownify
from resiliparse.extract.html2text import extract_plain_text
from selectolax.lexbor import LexborHTMLParser, LexborNode

from benchmarks.harness import announce, timed

_INLINE = {"em": "*", "i": "*", "strong": "**", "b": "**", "code": "`"}


def _html_to_markdown(body: str) -> str:
    converted = html_to_markdown.convert(body)
    return (converted if isinstance(converted, str) else converted.content) or ""


def _resiliparse(body: str) -> str:
    return str(extract_plain_text(body, preserve_formatting=True, links=True, alt_texts=True))


def _selectolax(body: str) -> str:
    root = LexborHTMLParser(body).body
    return _children(root).strip() if root is not None else ""


def _children(node: LexborNode) -> str:
    return "".join(_markdown(child) for child in node.iter(include_text=True))


def _markdown(node: LexborNode) -> str:
    tag = node.tag
    if tag == "-text":
        return " ".join(node.text_content.split("\n")) if node.text_content.strip() else " "
    if tag == "pre":
        return f"\n\n```\n{node.text()}```\n\n"
    inner = _children(node)
    if tag in _INLINE:
        return f"{_INLINE[tag]}{inner}{_INLINE[tag]}"
    if tag == "a":
        return f"[{inner}]({node.attributes.get('href') or ''})"
    if tag == "img":
        return f"![{node.attributes.get('alt') or ''}]({node.attributes.get('src') or ''})"
    if tag == "br":
        return "  \n"
    if tag == "li":
        return "- " + inner.strip().replace("\n", "\n  ") + "\n"
    if tag == "blockquote":
        return "\n\n" + "\n".join(f"> {line}" for line in inner.strip().split("\n")) + "\n\n"
    if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
        return f"\n\n{'#' * int(tag[1])} {inner.strip()}\n\n"
    return f"\n\n{inner.strip()}\n\n" if tag in ("p", "ul", "ol", "div", "table") else inner


def _html2text() -> Callable[[str], str]:
    converter = html2text.HTML2Text()
    converter.body_width = 0  # by default it breaks lines, and links with them
    return lambda body: str(converter.handle(body))


_CONVERTERS: dict[str, Callable[[str], str]] = {
    "html-to-markdown": _html_to_markdown,
    "resiliparse": _resiliparse,
    "selectolax": _selectolax,
    "markdownify": lambda body: str(markdownify.markdownify(body)),
    "html2text": _html2text(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--converter", choices=[*_CONVERTERS], required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    convert = _CONVERTERS[arguments.converter]
    bodies = [json.loads(line) for line in arguments.source.read_text(encoding="utf-8").splitlines()]
    with timed() as timer:
        texts = [convert(body) for body in bodies]
    arguments.output.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    announce(timer, sum(len(body.encode()) for body in bodies), len(bodies))


if __name__ == "__main__":
    main()
