"""Markdown that arrives in pieces looks as if it had come in one, and is written once."""

from __future__ import annotations

import random
import re

import pytest
from test_live_text import Screen

from pyllama.commands.live_text import LiveText
from pyllama.commands.markdown import MarkdownStream
from pyllama.commands.markdown_blocks import Blocks

WIDE = "世界" * 27

DOCUMENT = """\
# A title

Some *prose* with `code`, and **bold text that is long enough to be wrapped here**, and <b>tags</b>
of a List<String>.
WIDE

1. one
2. two
   goes on

   with a paragraph
10. ten
- [link](http://a.b)
  - nested
## Another

```python
def f(x):
\t\"\"\"Doc.\"\"\"

    return x  # a comment so long that it cannot possibly be shown in a single line of this
```
~~~
``` no fence
~~~

| a | b |
|---|---|
| 1 | 22222 |

> a quotation
> of two lines
***
The end of it""".replace("WIDE", WIDE)

SHOWN = """\
A title

Some prose with code, and bold text that is long enough to
be wrapped here, and <b>tags</b>
of a List<String>.
WIDE1
WIDE2

 1 one
 2 two
   goes on
   with a paragraph
 10 ten
 • link (http://a.b)
    • nested

Another

```python
def f(x):
    \"\"\"Doc.\"\"\"

    return x  # a comment so long that it cannot possibly be
 shown in a single line of this
```

~~~
``` no fence
~~~

 a  b
 ────────
 1  22222

▌ a quotation
▌ of two lines

-----------------------------------------------------------

The end of it""".replace("WIDE1", WIDE[:29]).replace("WIDE2", WIDE[29:])

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def stream(text: str, pieces: int, rows: int = 24, *, colours: bool = True) -> Screen:
    """The screen after the text came in pieces of at most so many characters."""
    screen = Screen(60, rows)
    live, markdown = LiveText(screen.write, screen.size), MarkdownStream(colours=colours)
    draw = random.Random(pieces)
    while text:
        size = draw.randint(1, pieces)
        markdown.push(text[:size])
        text = text[size:]
        live.update(*markdown.update(60))
    live.update(markdown.finish(60))
    return screen


@pytest.mark.parametrize(("pieces", "rows"), [(2, 6), (9, 50), (70, 12), (10_000, 50)])
def test_pieces_make_no_difference(pieces: int, rows: int) -> None:
    assert "\n".join(stream(DOCUMENT, pieces, rows).lines) == SHOWN


def test_little_is_written_over() -> None:
    """A long answer of code in small pieces: each line is written twice, not each time again."""
    code = "```python\n" + "".join(f"value_{n} = function({n})\n" for n in range(60)) + "```\n"
    written = "".join(stream(code, 8).written)
    assert len(ESCAPES.sub("", written)) < 6 * len(code)
    assert "\x1b[2J" not in written, "the screen is never cleared"


def test_colours_only_where_they_are_welcome() -> None:
    with_colours = "".join(stream(DOCUMENT, 10_000).written)
    without = "".join(stream(DOCUMENT, 10_000, colours=False).written)
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])(?:;\d+)*m")
    assert colour.search(with_colours)
    assert not colour.search(without)
    assert "\x1b[1m" in without, "bold is no colour"


def test_beginnings_that_may_become_something_else_wait() -> None:
    for begun in ("``", "  ```", "#", "-", "12", "12.", "=", "> "):
        blocks = Blocks()
        blocks.push(f"text\n\n{begun}")
        shown = [line for block in blocks.rest() for line in block.lines if line.strip()]
        assert shown == ["text"], begun


def test_items_and_their_paragraphs() -> None:
    blocks = Blocks()
    blocks.push("- a\n\n  more\n- b\n\nend\n")
    blocks.finish()
    assert [(block.gap, block.lines) for block in blocks.complete()] == [
        (False, ["- a", "", "  more"]),
        (False, ["- b"]),
        (True, ["end"]),
    ]
