"""LeNet-5 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998)."""

from __future__ import annotations

from gradstone import nn
from gradstone._C import Tensor
from gradstone.models._inputs import check_images
from gradstone.nn import functional as F


class LeNet(nn.Module):
    """Images (N, in_channels, 28, 28) or (N, in_channels, 32, 32) to logits (N, num_classes).

    Parameters conv1, conv2, fc1, fc2, fc3. As it is built today: max pooling and ReLU where the
    paper has scaled means and tanh, and a linear output where it has radial units. 28 x 28 images
    are padded by 2, as the paper pads MNIST.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        check_images("LeNet", images, self.in_channels, (28, 32))
        if images.size(2) == 28:
            images = F.pad(images, (2, 2, 2, 2))
        x = F.max_pool2d(F.relu(self.conv1(images)), 2)  # (N, 6, 14, 14)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, 16, 5, 5)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))
