"""Lines that belong to a web page and not to what it says: share buttons, copyright, tags, affiliate notes."""

from __future__ import annotations

import re

_NETWORK = r"(?:facebook|twitter|x|linkedin|pinterest|reddit|whatsapp|telegram|e-?mail|print|instagram|youtube|github)"
_LINE = re.compile(
    rf"""^\W*(?:
        (?:\d+\s+)?comments?(?:\s*\(\d+\))? | leave\ a\ (?:comment|reply)\b.* | (?:no|add|post)\ comments?(?:\ yet)?
      | share(?:\ (?:this|on|via|with)\b.{{0,40}})? | tweet | {_NETWORK}(?:[\s|,·]+{_NETWORK})+
      | (?:related|recommended|popular|recent|more)\ (?:posts?|articles?|reading|stories)\b.{{0,20}}
      | back\ to\ top | skip\ to\ (?:main\ )?content | advertisements? | sponsored | copy(?:\ code)?
      | (?:previous|next)(?:\ (?:post|article|page))?
      | (?:sign\ up|subscribe)\b.{{0,60}}\bnewsletter\b.{{0,60}}
      | (?:tags?|filed\ under|categor(?:y|ies)|posted\ (?:in|by|on))\s*:?\s.{{1,120}}
      | (?:tags?|table\ of\ contents|on\ this\ page|contents):?
      | (?:copyright\s*)?(?:©|\(c\)\s*(?:19|20)\d\d|copyright\s+(?:19|20)\d\d).{{0,300}}
      | all\ rights\ reserved.{{0,60}}
      | ~?\d+[-\ ]min(?:ute)?s?\.?\ read\b.{{0,40}} | accept\ (?:all\ )?cookies.* | (?:sign|log)\ (?:in|up|out)
      | (?:last\ )?(?:updated|published|posted)(?:\ on)?:?\s+(?:\w+\s+\d{{1,2}},?\s+)?(?:\w+\s+)?(?:19|20)\d\d
      | (?:disclaimer|disclosure)\b.*\b(?:affiliate|commission|reader-supported|sponsor).* )\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
_PAID = re.compile(
    r"\b(?:affiliate (?:links?|commission)|earn (?:a|an)(?: small)? (?:affiliate )?commission)\b", re.IGNORECASE
)
_LONGEST = 500  # characters: what is longer says something


def is_furniture(line: str) -> bool:
    bare = line.strip()
    return len(bare) <= _LONGEST and bool(_LINE.match(bare) or _PAID.search(bare))
