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


def test_what_comes_from_headquarters_has_topics_below_the_post_too() -> None:
    topics = Topics.of("/guardpost/jember/kpu-gate")
    assert topics.alarm("door") == "guardpost/jember/kpu-gate/alarm/door"
    assert topics.reply("3f0c") == "guardpost/jember/kpu-gate/reply/3f0c"
    assert topics.orders == "guardpost/jember/kpu-gate/order/#"
    assert topics.receipt == "guardpost/jember/kpu-gate/receipt"
    assert topics.order_name("guardpost/jember/kpu-gate/order/replay") == "replay"
    assert topics.order_name("guardpost/jember/kpu-gate/receipt") is None
    assert topics.order_name("guardpost/jember/other-gate/order/replay") is None
