"""How a report ends: what it means, its limits, what can be had, references."""

from __future__ import annotations

from anna import markup
from anna.card import LIMITS
from anna.finished import Finished

REPOSITORY = "https://github.com/anna-leukemia/ANNa"
IMPLICATIONS = (
    "None for practice. Before a model of this kind could be of use, it would have to be tested "
    "on people of several hospitals, on other microscopes and stains, ahead in time, against what "
    "haematologists see, and within the work of a laboratory."
)
POOR_INPUT = (
    "A file that cannot be read gets no probability, and the reason. `python -m anna predict` "
    "warns where size, colour, focus or background are unlike the cells learnt from; such calls "
    "should not be used. A missing image is never filled in."
)
USERS = (
    "They cut single cells out on black and give the files; nothing else is asked of them. To "
    "judge what comes back they need to know blood cells, and what an interval over people means."
)
NEXT = (
    "More people above all, healthy ones first; another collection as an external test; age, sex "
    "and origin, so that fairness can be examined; whole smears in place of single cells."
)
DECLARATIONS = (
    "Protocol: the project prepared none beforehand; notebooks and code are what was done. "
    "Registration: the study was not registered. Patients and public took no part in it. A run "
    "knows nothing of funding, interests and approval by an ethics committee: whoever publishes it "
    "must add them."
)
REFERENCES = (
    "A. S. Tejani et al., *Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 "
    "Update*, Radiology: Artificial Intelligence 6(4), e240300, 2024, "
    "[doi 10.1148/ryai.240300](https://doi.org/10.1148/ryai.240300).",
    "G. S. Collins et al., *TRIPOD+AI statement*, BMJ 385, e078378, 2024, "
    "[doi 10.1136/bmj-2023-078378](https://doi.org/10.1136/bmj-2023-078378).",
    "A. Gupta, R. Gupta, *ALL Challenge dataset of ISBI 2019 (C-NMC 2019)*, The Cancer Imaging "
    "Archive, 2019, [doi 10.7937/tcia.2019.dc64i46r](https://doi.org/10.7937/tcia.2019.dc64i46r).",
    "O. Ronneberger, P. Fischer, T. Brox, *U-Net*, MICCAI 2015.",
    "T. C. Hesterberg, *What teachers should know about the bootstrap*, The American Statistician "
    "69(4), 2015, [doi 10.1080/00031305.2015.1089789]"
    "(https://doi.org/10.1080/00031305.2015.1089789).",
    "C. Guo et al., *On calibration of modern neural networks*, ICML 2017.",
    "V. Petsiuk, A. Das, K. Saenko, *RISE*, BMVC 2018.",
    "M. Mitchell et al., *Model cards for model reporting*, FAT* 2019.",
)


def sections(run: Finished) -> str:
    """Returns discussion, limits, availability and references as HTML."""
    return "\n".join(
        [
            markup.section(
                "discussion",
                "Discussion",
                markup.part("interpretation", "What it means", _interpretation(run)),
                markup.part("limits", "Limits", markup.prose(_bullets(LIMITS))),
                markup.part("implications", "For practice", markup.prose(IMPLICATIONS)),
                markup.part("poor-input", "Poor or missing images", markup.prose(POOR_INPUT)),
                markup.part("users", "What users do", markup.prose(USERS)),
                markup.part("next", "Next steps", markup.prose(NEXT)),
            ),
            markup.section(
                "other",
                "Other information",
                markup.part("availability", "What can be had", markup.prose(_availability(run))),
                markup.part("declarations", "Declarations", markup.prose(DECLARATIONS)),
            ),
            markup.section("references", "References", markup.prose(_bullets(REFERENCES))),
        ]
    )


def _interpretation(run: Finished) -> str:
    """Returns in words what the scores of this run say, and no more than they say."""
    main, models = run.main, run.results["models"]
    auc, level = models[main]["scores"]["auc"], models[main]["level"]
    lines = []
    if run.results["drawn"]:
        lines.append("The cells are drawn: the figures show that the machinery works, no more.")
    if auc["value"] is None:
        lines.append("With test cells of one class only, no model can be ranked.")
    elif not models[main]["resamples"]:
        lines.append("No intervals were asked for: how people differ, this run does not tell.")
    elif auc["low"] is None:
        lines.append("A class has a single test person: how people differ, nobody can tell.")
    else:
        than = "above" if auc["low"] > 0.5 else "not surely above"
        lines.append(
            f"The AUC of `{main}`, {auc['value']:.3f}, is {than} chance: its {level:.0%} interval "
            f"begins at {auc['low']:.2f}."
        )
    lines += [
        f"Against `{other}` its AUC is {_gap(models[main], models[other])}; the interval of the "
        "difference is under [differences](#differences)."
        for other in models
        if other != main and None not in (auc["value"], models[other]["scores"]["auc"]["value"])
    ]
    lines.append(
        "How this stands beside other work is shown under [published](#published)."
        if run.figure("published")
        else "Fairness between groups of people cannot be examined."
    )
    return markup.prose(_bullets(lines))


def _gap(model: dict, other: dict) -> str:
    gap = model["scores"]["auc"]["value"] - other["scores"]["auc"]["value"]
    return f"{abs(gap):.3f} {'higher' if gap > 0 else 'lower'}" if gap else "the same"


def _availability(run: Finished) -> str:
    data = (
        "The cells are drawn by `anna.sample` and can be drawn again."
        if run.results["drawn"]
        else "C-NMC 2019 can be had from The Cancer Imaging Archive, CC BY 3.0."
    )
    model = run.results["settings"].get("model_file", "model.keras")
    return _bullets(
        [
            f"Code and notebooks: [{REPOSITORY}]({REPOSITORY}), MIT licence.",
            f"Data: {data}",
            f"Model: `{model}` in the output folder; `anna.models.load(path)` loads it and "
            "`anna.predict.files(model, paths)` gives probabilities, which is how they were "
            "computed here.",
            "For machines: `results.json` and `model_card.json` (with JSON Schemas in "
            "`anna/schema`), and each cell's probability in `csv/predictions *.csv`. Two runs are "
            "set beside one another by `anna.comparison.of(first, second)`.",
        ]
    )


def _bullets(lines) -> str:
    return "\n".join(f"- {line}" for line in lines)
