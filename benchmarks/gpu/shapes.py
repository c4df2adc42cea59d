"""The inputs (C, H, W) of the ten shifts of MobileNetV2 at 224x224. The fold of each is C // 8."""

MOBILENETV2 = [(24, 56, 56)] + [(32, 28, 28)] * 2 + [(64, 14, 14)] * 3 + [(96, 14, 14)] * 2 + [(160, 7, 7)] * 2
