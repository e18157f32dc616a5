"""Topics: every one below the post's own branch, which is the CloudEvents source."""

from device.link.topics import Topics


def test_topics_are_those_of_the_contract() -> None:
    topics = Topics.of("/guardpost/jember/kpu-gate")
    assert topics.event("checkin") == "guardpost/jember/kpu-gate/event/checkin"
    assert topics.status == "guardpost/jember/kpu-gate/status"
    assert topics.state == "guardpost/jember/kpu-gate/state"
    assert topics.identity == "guardpost/jember/kpu-gate/identity"


def test_another_root_moves_all_of_them() -> None:
    topics = Topics.of("/guards/jember/kpu-gate")
    for topic in (topics.event("door"), topics.status, topics.state, topics.identity):
        assert topic.startswith("guards/jember/kpu-gate/")
