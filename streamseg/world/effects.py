"""What lies between the world and the picture: light, blur, sensor noise, compression."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .seeds import generator
from .snapshot import Effects

__all__ = ["apply_effects"]


def apply_effects(rgb: NDArray[np.uint8], effects: Effects) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 as a camera would deliver it; the input may be changed."""
    if effects.gain != (1.0, 1.0, 1.0):
        steps = np.arange(256, dtype=np.float32)[:, None] * np.asarray(effects.gain, np.float32)
        rgb = cv2.LUT(rgb, steps.clip(0, 255).round().astype(np.uint8)[None]).astype(np.uint8, copy=False)
    deviation = effects.blur * rgb.shape[0] / 1000
    if deviation > 0.1:
        rgb = cv2.GaussianBlur(rgb, (0, 0), deviation).astype(np.uint8, copy=False)
    rgb = _smear(rgb, effects.smear)
    if effects.noise > 0:
        rgb = _add_noise(rgb, effects.noise, effects.noise_seed)
    if effects.quality is not None:
        rgb = _compress(rgb, effects.quality)
    return rgb


def _smear(rgb: NDArray[np.uint8], smear: tuple[float, float]) -> NDArray[np.uint8]:
    """Motion blur: the mean along a line."""
    x, y = smear[0] * rgb.shape[0], smear[1] * rgb.shape[0]
    length = math.hypot(x, y)
    if length < 1.5:
        return rgb
    reach = math.ceil(length / 2)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for share in np.linspace(-0.5, 0.5, 4 * reach + 1):
        kernel[reach + round(share * y), reach + round(share * x)] += 1
    return cv2.filter2D(rgb, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)


def _add_noise(rgb: NDArray[np.uint8], deviation: float, seed: int) -> NDArray[np.uint8]:
    noise = generator("noise", seed).standard_normal(rgb.shape, dtype=np.float32)
    return np.clip(rgb + noise * np.float32(deviation) + np.float32(0.5), 0, 255).astype(np.uint8)


def _compress(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """There and back through JPEG."""
    done, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"JPEG refused a picture of shape {rgb.shape}")
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
