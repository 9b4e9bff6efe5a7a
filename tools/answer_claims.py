"""The ten claims of the question one by one, each with its reason in plain language."""

from collections.abc import Iterator, Sequence

from resnet_shortcuts.analysis.claims import Claim

REASONS = {
    "1 true": "A window of one pixel has one value, so its maximum is that value: both keep the same pixel of four.",
    "2 true": "Three of four pixels neither reach the output nor get gradient through the shortcut. Their neighbours "
    "are alike, so far less than three quarters of what images hold is lost, and the branch sees every pixel.",
    "3 not settled": "Overlapping maxima often pick the same pixel, so fewer pixels reach the output than with option "
    "A, and from most inputs less can be decoded. On sparse images and on digits wider decoders still get more, "
    "so that nothing bounds what is there.",
    "4 false": "Four pixels become one mean, so three of four dimensions are gone; smooth images lose little, since "
    "neighbouring pixels are alike.",
    "5 not settled": "Alone it hands back a quarter of the gradient's energy that option A hands back, but to every "
    "pixel; in a whole network at initialisation the two norms are alike, since the branch carries gradient as well. "
    "Which of the two 'hinder' means decides the claim.",
    "6 not settled": "Copies instead of zeros changed accuracy by less than these seeds resolve.",
    "7 false": "To hurt, the maximum would have to be worse than the average of the same 2x2 window and than the "
    "stride. It is better than the stride (the interval just excludes 0); from the average these seeds do not tell it "
    "apart. What helps is to look at all four pixels, linearly or not.",
    "8 true": "Neither raised accuracy here by as much as the margin; C, which puts a projection in every block, "
    "lowered it. After long training others saw C gain, so this holds for short training.",
    "9 true": "A projection has weights, and its input and normalised output are kept for the backward pass.",
    "9 false": "Counted, neither is raised.",
    "9 not settled": "Counted with the costs, which were not measured with these runs yet.",
    "10 true": "Pooling and padding touch little memory beside the convolutions of the branch.",
    "10 false": "The shortcuts without parameters are not free: one of them is outside 5 % of option A's step.",
    "10 not settled": "Step times are not known closely enough to say.",
}
"""By claim and verdict: a verdict without a reason stops the page from being written."""


def claims_section(claims: Sequence[Claim]) -> Iterator[str]:
    """Lines of Markdown: what was claimed, the verdict, why, and the figure that decides with its origin."""
    for claim in claims:
        yield f"### {claim.number}. {claim.text} {claim.verdict.capitalize()}."
        yield ""
        yield f"{REASONS[f'{claim.number} {claim.verdict}']}"
        yield ""
        yield f"- Figure: {claim.figure}."
        if claim.interval:
            yield f"- 95 % interval: {claim.interval}."
        yield f"- From: {claim.source}."
        yield ""
