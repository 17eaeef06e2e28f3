"""What others reached on C-NMC 2019: weighted F1, on the preliminary test set of 1,867 cells.

Only results with people kept apart; the note says what to know when comparing, and where a figure
is of other people.
"""

import pandas as pd

PUBLISHED = pd.DataFrame(
    [
        ("Pan et al., ResNet + neighbourhood correction", 0.925, "1st; uses all test cells"),
        ("Honnalgere & Nayak, VGG16", 0.917, "quoted second-hand"),
        ("Xiao et al., DeepMEN", 0.903, "6 models, pseudo-labels"),
        ("Prellberg & Kramer, SE-ResNeXt50, best epoch", 0.898, "epoch chosen on this set"),
        ("Verma & Singh, MobileNetV2", 0.895, "quoted second-hand"),
        ("Prellberg & Kramer, SE-ResNeXt50, last epoch", 0.887, ""),
        ("Mondal et al., ensemble", 0.886, ""),
        ("Marzahl et al., ResNet18 + box head", 0.875, "ImageNet start"),
        ("Marzahl, ResNet34 U-Net pixel vote", 0.797, "on fold 2, not on this set"),
        ("Size alone, a threshold", 0.778, "on halves of the training people"),
        ("Every cell called ALL", 0.516, "computed"),
    ],
    columns=["method", "weighted_f1", "note"],
)  # fmt: skip
