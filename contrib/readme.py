"""Write the generated parts of README.md anew: ``make readme``."""

from __future__ import annotations

import re
from pathlib import Path

from emperor.config import options

README = Path(__file__).resolve().parent.parent / "README.md"
PART = re.compile(r"(<!-- options: .*? -->\n).*?(\n<!-- /options -->)", re.DOTALL)

text = README.read_text(encoding="utf-8")
README.write_text(PART.sub(lambda part: part[1] + options.markdown().strip() + part[2], text), encoding="utf-8")
