"""Controls that the camera takes, and those that are left alone."""

import pytest

from device.hardware.camera.controls import Control, paced, understood

LISTED = {
    "AeEnable": (False, True, None),
    "AfMode": (0, 2, 0),
    "ColourGains": (0.0, 32.0, None),
    "ExposureTime": (75, 11_766_829, 20_000),
    "FrameDurationLimits": (33_333, 120_000, 33_333),
    "ScalerCrop": ((0, 0, 64, 64), (0, 0, 4608, 2592), (0, 0, 4608, 2592)),
    "Sharpness": (0.0, 16.0, 1.0),
}


@pytest.mark.parametrize(
    ("name", "value", "exact"),
    [
        ("AeEnable", False, False),
        ("AfMode", 2, 2),
        ("ColourGains", (1.5, 2.0), (1.5, 2.0)),
        ("ExposureTime", 10_000, 10_000),
        ("FrameDurationLimits", (40_000.0, 100_000.0), (40_000, 100_000)),
        ("ScalerCrop", (0.0, 0.0, 2304.0, 1296.0), (0, 0, 2304, 1296)),
        ("Sharpness", 2, 2),
    ],
)
def test_a_control_is_taken_as_the_camera_lists_it(name: str, value: Control, exact: Control) -> None:
    taken, told = understood({name: value}, LISTED)
    assert (taken, told) == ({name: exact}, [])
    assert repr(taken[name]) == repr(exact)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("LensPosition", 1.0, "control LensPosition is not of this camera"),
        ("AfMode", 3, "control AfMode goes from 0 to 2: 3 is outside"),
        ("AfMode", "Continuous", "control AfMode takes whole numbers, not Continuous"),
        ("AfMode", 0.5, "control AfMode takes whole numbers, not 0.5"),
        ("Sharpness", "high", "control Sharpness takes numbers, not high"),
        ("ColourGains", (1.0, 99.0), "control ColourGains goes from 0.0 to 32.0: (1.0, 99.0) is outside"),
    ],
)
def test_a_control_that_the_camera_would_refuse_is_left_alone_and_told(name: str, value: Control, why: str) -> None:
    assert understood({name: value, "AeEnable": True}, LISTED) == ({"AeEnable": True}, [why])


def test_the_sensor_gives_ten_frames_a_second_or_as_many_as_are_kept_within_its_limits() -> None:
    assert paced(4, LISTED) == {"FrameDurationLimits": (100_000, 100_000)}
    assert paced(15, LISTED) == {"FrameDurationLimits": (66_666, 66_666)}
    assert paced(4, {"FrameDurationLimits": (16_666, 33_333, None)}) == {"FrameDurationLimits": (33_333, 33_333)}
    assert paced(4, {"Sharpness": (0.0, 16.0, 1.0)}) == {}
