"""What `--from` and `--network` name in these tests. Imported only where its framework is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn


class Block(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = before == after and stride == 1
        self.around = nn.Identity() if same else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Any) -> Any:
        return torch.relu(self.way(x) + self.around(x))


class ResNet18(nn.Module):
    """Of 18 layers and 11 million weights, for images of [batch, 1, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        before = 64
        for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [Block(before, after, stride), Block(after, after, 1)]
            before = after
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))

    def forward(self, image: Any) -> Any:
        return self.layers(image)


class Small(nn.Module):
    """Two inputs, two answers."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 128), nn.Linear(2, 128)

    def forward(self, b: Any, a: Any) -> Any:
        together = torch.relu(self.left(a) + self.right(b))
        return together.sum(1, keepdim=True), together


def small() -> nn.Module:
    torch.manual_seed(0)
    return Small()


def digits() -> tuple[Any, Any]:
    """Images of [1797, 1, 8, 8] and what they show."""
    found = load_digits()
    return (found.images[:, None] / 16).astype(np.float32), found.target


def trained(steps: int) -> nn.Module:
    """A ResNet-18 that has seen `steps` batches: enough that its batch norms and weights are no defaults."""
    torch.manual_seed(0)
    images, labels = (torch.from_numpy(each) for each in digits())
    network = ResNet18()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for rows in torch.randperm(len(images)).split(64)[:steps]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
        optimizer.step()
    return network.eval()


def fine_tuned(network: nn.Module, classes: int, steps: int) -> nn.Module:
    """The same backbone, which stays as it is, under a new head of 4 MiB that learns: odd or even, high or low, and so on."""
    torch.manual_seed(classes)
    images, labels = (torch.from_numpy(each) for each in digits())
    backbone = list(network.layers)[:-1]
    head = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, classes))
    tuned = nn.Sequential(*backbone, head).eval()  # batch norm is part of the backbone, so it learns nothing either
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3)
    for rows in torch.randperm(len(images)).split(64)[:steps]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(tuned(images[rows]), labels[rows] % classes).backward()
        optimizer.step()
    return tuned
