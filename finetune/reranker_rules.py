"""The words and patterns that `finetune.reranker_questions` makes questions with."""

from __future__ import annotations

from collections.abc import Sequence

STOP = frozenset(
    (
        "a an the of in on at to for from by with and or but if as is are was were be been being it its this that "
        "these those we you i they he she our your their there here which who what when where why how can could may "
        "might will would shall should must do does did has have had not no than then so such also more most some any "
        "each both only very just about into over under between through during after before above below up down out "
        "off again once let us one two"
    ).split()
)
GENERIC = frozenset(
    (
        "exercises exercise summary introduction overview references discussion discussions conclusion conclusions "
        "example examples notes note see also further reading installation contents appendix background motivation "
        "implementation training prediction results setup resources tips quiz usage parameters prerequisites "
        "acknowledgments license concise dataset model data more quick start getting started next steps what's next "
        "faq miscellaneous"
    ).split()
)
VERBS = frozenset(
    (
        "add apply avoid build check choose clean combine compare compute configure convert create debug define "
        "deploy design detect download estimate evaluate export extract fine-tune find fit generate get handle "
        "implement import improve increase initialize initialise install keep learn load make measure merge normalize "
        "normalise optimize optimise plot predict prepare prevent preprocess process push read reduce remove replace "
        "run sample save scale select set share split start stop store test tokenize train transform tune understand "
        "update upload use validate visualize write"
    ).split()
)
AUXILIARY = r"is|are|was|were|can|could|should|will|must|does|do|has|have"
DANGLING = frozenset(
    (
        "this it these that those there here in to we since while as if when where once what how why they he she you "
        "for with after before by at on from because although though given let our first second unlike like both all"
    ).split()
)
OPENING = (  # of a sentence, which its question does without
    r"^(?:[-*•>]|\d+[.)])?\s*(?:(?:however|thus|therefore|hence|moreover|furthermore|also|so|but|and|note that|"
    r"for example|for instance|in addition|in particular|recall that|of course|as a result|in general|typically|"
    r"usually|currently|intuitively|unfortunately|now|then|next|finally|again|in fact|indeed|similarly|"
    r"in other words|additionally),?\s+)+"
)


_USED = r"(?:is|are|can be) used (?:to|for)"
_SIDE = r"advantage|disadvantage|benefit|drawback|problem|goal|purpose|idea"

# What a sentence looks like, the questions that it answers, and whether only this sentence answers them.
RULES: Sequence[tuple[str, str, bool]] = (
    (
        r"(?:An? |The )?((?:[\w\-()]+ ){1,5}?)(?:is|are) (?:an?|the|one of|defined as|simply|a type|used when) ",
        "what is {}? | what does {} mean? | define {} | {} definition | whats {} | what do we mean by {} | {} meaning",
        False,
    ),
    (
        r"(?!This|It|That|These)(.{12,80}?),? because (.{10,})",
        "why {0}? | why is it that {0} | what is the reason that {0}?",
        True,
    ),
    (
        r"(?:In order to|To) ([a-z]+ .{5,70}?),",
        "how do I {}? | how to {} | how can we {}? | what do I need to {}",
        False,
    ),
    (rf".{{3,50}} {_USED} (.{{6,70}})", "what is used for {}? | what can I use to {}?", False),
    (rf"(.{{3,40}}?) {_USED} .{{6,70}}", "what is {} used for? | when do I use {}?", True),
    (
        r"(?:.{0,20} )?((?:\w+ ){1,3})such as .{4,}",
        "examples of {} | what are some {}? | which {} are there?",
        False,
    ),
    (r"If (.{8,70}?), .{10,}", "what if {}? | what happens if {}? | what should I do when {}?", True),
    (r"When (.{8,70}?), .{10,}", "what happens when {}? | what to do when {}?", True),
    (r"Unlike ((?:\S+ ){1,5}?), ((?:\S+ ){1,4}?).{10,}", "how is {1} different from {0}? | {0} vs {1}", False),
    (
        rf"(?:The )?(?:main |key |biggest )?({_SIDE})s? of (.{{4,60}}?) (?:is|are) ",
        "what is the {0} of {1}? | {1} {0} | what are the {0}s of {1}?",
        True,
    ),
    (
        r"(?:It is|You should|We recommend|Make sure|It's) (?:\w+ )?to ([a-z]+ .{8,70})",
        "should I {}? | when should I {}?",
        False,
    ),
    (
        r"(?:The )?(.{5,60}?) (?:depends on|is determined by|is controlled by) .{5,}",
        "what does {} depend on? | what controls {}?",
        True,
    ),
    (
        r"(.{5,60}?) (?:leads to|causes|results in|helps?|improves|reduces) (.{5,70})",
        "what does {0} do? | what {1}? | effect of {0}",
        True,
    ),
)
