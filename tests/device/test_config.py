"""Configuration: every mistake is one line that names the file, the key, what is wrong and the mend."""

import random
import re
from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

import device
from device.config import Config, load, parse
from device.config_section import Section
from device.errors import ConfigError
from device.hardware.readers.rc522 import Rc522Section
from device.link.redial import Redial
from device.readings import Disconnected, Instant

POST = '[post]\nsite = "jember"\nname = "kpu-gate"\n'
LINK = '[link]\nbrokers = ["mqtts://broker.example:8883"]\n'
READER = '[[reader]]\nname = "gate"\ndriver = "rc522"\n'
DOOR = '[[door]]\nname = "front"\npin = 17\n'
TAMPER = '[[tamper]]\nname = "lid"\npin = 23\n'
INDICATOR = "[indicator]\ngreen = 5\nred = 6\nbuzzer = 13\n"
BUTTON = '[[button]]\nname = "checkin"\npin = 22\ndoes = "checkin"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "post.toml"
    file.write_text(text, encoding="utf-8")
    return file


def loaded(folder: Path, text: str) -> Config:
    return load(written(folder, text))


def refusal(file: Path) -> list[str]:
    """What the owner is told, line by line."""
    with pytest.raises(ConfigError) as refused:
        load(file)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_the_example_file_loads_and_says_what_it_promises() -> None:
    example = Path(device.__file__).parent / "post.example.toml"
    config = load(example)
    assert config.source == "/guardpost/jember/kpu-gate"
    assert str(config.timezone) == "Asia/Jakarta"
    assert [str(broker) for broker in config.link.brokers] == ["mqtts://broker.example:8883"]
    assert isinstance(config.reader[0], Rc522Section)
    assert config.reader[0].reset_pin == 25
    assert config.door[0].forced_without_checkin == timedelta(seconds=30)
    assert config.indicator is not None
    assert config.indicator.buzzer == 13


def test_post_and_link_are_enough_and_the_example_names_every_default_rightly(tmp_path: Path) -> None:
    config = loaded(tmp_path, POST + LINK)
    example = load(Path(device.__file__).parent / "post.example.toml")
    assert config.link == example.link
    assert config.checkin == example.checkin
    assert config.roster == example.roster
    assert config.post.timezone == "UTC"
    assert config.post.state_dir == Path("/var/lib/guardpost")
    assert (config.reader, config.door, config.button, config.indicator) == ((), (), (), None)
    door = loaded(tmp_path, POST + LINK + DOOR).door[0]
    assert (door.normally, door.held_after, door.forced_without_checkin) == ("closed", timedelta(minutes=1), None)


def test_a_lid_and_an_indicator_with_all_its_keys(tmp_path: Path) -> None:
    keys = 'buzzer_kind = "passive"\nlit_by = "low"\nbuzzer_by = "low"\ntone_hz = 2700\nnight = "21:30-05:00"\n'
    config = loaded(tmp_path, POST + LINK + TAMPER + INDICATOR + keys)
    assert (config.tamper[0].name, config.tamper[0].pin, config.tamper[0].normally) == ("lid", 23, "closed")
    assert config.indicator is not None
    assert config.indicator.night == (time(21, 30), time(5))
    assert (config.indicator.tone_hz, config.indicator.volume, config.indicator.night_volume) == (2_700, 100, 30)
    plain = loaded(tmp_path, POST + LINK + INDICATOR).indicator
    example = load(Path(device.__file__).parent / "post.example.toml").indicator
    assert plain == example


def test_relative_paths_start_at_the_file_s_folder(tmp_path: Path) -> None:
    text = f'{POST}state_dir = "state"\n{LINK}password_file = "secret"\n[roster]\nfile = "../roster.toml"\n'
    config = loaded(tmp_path, text)
    assert config.post.state_dir == tmp_path / "state"
    assert config.link.password_file == tmp_path / "secret"
    assert config.roster.file == tmp_path / "../roster.toml"
    assert config.link.ca_file is None


@pytest.mark.parametrize(
    ("written_as", "meant"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
        ("2d", timedelta(days=2)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_are_a_number_and_a_unit(tmp_path: Path, written_as: str, meant: timedelta) -> None:
    config = loaded(tmp_path, f'{POST}{LINK}[checkin]\nrepeat_after = "{written_as}"\n')
    assert config.checkin.repeat_after == meant


@pytest.mark.parametrize(
    ("address", "host", "port", "tls", "in_full"),
    [
        ("mqtts://broker.example", "broker.example", 8883, True, "mqtts://broker.example:8883"),
        ("mqtt://127.0.0.1", "127.0.0.1", 1883, False, "mqtt://127.0.0.1:1883"),
        ("mqtt://127.0.0.1:1884/", "127.0.0.1", 1884, False, "mqtt://127.0.0.1:1884"),
        ("mqtts://[fd00::17]:8884", "fd00::17", 8884, True, "mqtts://[fd00::17]:8884"),
        ("MQTTS://Broker.Example", "broker.example", 8883, True, "mqtts://broker.example:8883"),
    ],
)
def test_broker_addresses(tmp_path: Path, address: str, host: str, port: int, tls: bool, in_full: str) -> None:
    (broker,) = loaded(tmp_path, f'{POST}[link]\nbrokers = ["{address}"]\n').link.brokers
    assert (broker.host, broker.port, broker.tls, str(broker)) == (host, port, tls, in_full)


@pytest.mark.parametrize(
    ("address", "host", "port", "in_full"),
    [
        ("192.168.1.1", "192.168.1.1", 123, "192.168.1.1"),
        ("ntp.example:10123", "ntp.example", 10123, "ntp.example:10123"),
        ("[fd00::17]", "fd00::17", 123, "[fd00::17]"),
        ("[fd00::17]:10123", "fd00::17", 10123, "[fd00::17]:10123"),
    ],
)
def test_time_server_addresses(tmp_path: Path, address: str, host: str, port: int, in_full: str) -> None:
    server = loaded(tmp_path, f'{POST}{LINK}[time]\nserver = "{address}"\n').time.server
    assert server is not None
    assert (server.host, server.port, str(server)) == (host, port, in_full)


PIN_MEND = "must be a whole number without quotes"
NAME_MEND = "write a-z, 0-9 and -, at most 32 characters"
DURATION_MEND = 'is no duration; write a number and a unit in quotes, like "90s", "5m" or "1h"'
BROKER_MEND = "is no broker address; write mqtts://host:8883, or mqtt://127.0.0.1:1883 for a broker on this machine"
HOURS_MEND = 'are no hours; write from and until, local time, in quotes, like "22:00-06:00"'
SERVER_MEND = 'is no time server; write its address, like "192.168.1.1"'
ZONE_MEND = 'is no time zone; write an IANA name like "Asia/Jakarta"'
PICTURE_KEY = "write the 43 characters that guardpost-provision picture-key printed"
PLACES = "since it becomes an event's subject"

MISTAKES = {
    # unknown keys
    "misspelt section": (POST + LINK + "[indicatr]\ngreen = 5\n", "indicatr: unknown key; did you mean indicator?"),
    "misspelt key": (
        POST + LINK + DOOR + 'held_aftr = "5s"\n',
        "door[0].held_aftr: unknown key; did you mean held_after?",
    ),
    "misspelt key that is needed": (
        POST.replace("name", "nmae") + LINK,
        "post.nmae: unknown key; did you mean name?",
    ),
    "misspelt section that is needed": (
        POST + LINK.replace("link", "linc"),
        "linc: unknown key; did you mean link?",
    ),
    "unknown key": (POST + LINK + "[roster]\nzzz = 1\n", "roster.zzz: unknown key; known here: file"),
    "unknown key with a line break in its name": (
        POST + LINK + '[roster]\n"a\\nb" = 1\n',
        "roster.'a\\nb': unknown key; known here: file",
    ),
    # missing keys
    "no link": (POST, "link: missing; add it"),
    "no name": ('[post]\nsite = "jember"\n' + LINK, "post.name: missing; add it"),
    "a door without a pin": (POST + LINK + '[[door]]\nname = "front"\n', "door[0].pin: missing; add it"),
    "no brokers": (POST + "[link]\nbrokers = []\n", "link.brokers: is empty; write at least one"),
    "a certificate without its key": (
        POST + LINK + 'certificate_file = "post.pem"\n',
        "link: certificate_file and key_file belong together; give both or neither",
    ),
    "a broker to keep until, over a protocol that hides refusals": (
        POST + LINK + 'keep_until = "broker"\nprotocol = "3.1.1"\n',
        'link: keep_until = "broker" needs MQTT 5, since 3.1.1 hides refusals; drop protocol or keep_until',
    ),
    # wrong types
    "a number for text": (POST.replace('"jember"', "5") + LINK, "post.site: must be text in quotes"),
    "text for a pin": (POST + LINK + DOOR.replace("17", '"17"'), f"door[0].pin: {PIN_MEND}"),
    "true for a pin": (POST + LINK + DOOR.replace("17", "true"), f"door[0].pin: {PIN_MEND}"),
    "17.0 for a pin": (POST + LINK + DOOR.replace("17", "17.0"), f"door[0].pin: {PIN_MEND}"),
    "a number for a path": (POST + "state_dir = 5\n" + LINK, "post.state_dir: must be a path in quotes"),
    "a value for a section": (
        f"post = 5\n{LINK}",
        "post: must be a section of keys, like the one in the example file",
    ),
    "one section for a list": (
        POST + LINK + DOOR.replace("[[door]]", "[door]"),
        "door: must be a list: values in [ ], or sections with [[ ]] around the name",
    ),
    "a list for one section": (
        POST.replace("[post]", "[[post]]") + LINK,
        "post: must be a section of keys, like the one in the example file",
    ),
    "one address for a list": (
        POST + '[link]\nbrokers = "mqtt://127.0.0.1"\n',
        "link.brokers: must be a list: values in [ ], or sections with [[ ]] around the name",
    ),
    # wrong values
    "a name that is no topic level": (
        POST.replace("kpu-gate", "KPU gate") + LINK,
        f"post.name: 'KPU gate' cannot be used; {NAME_MEND}",
    ),
    "a name with a line break": (
        POST.replace('"kpu-gate"', '"kpu-gate\\n"') + LINK,
        f"post.name: 'kpu-gate\\n' cannot be used; {NAME_MEND}",
    ),
    "a root with a wildcard": (
        POST + LINK + 'root = "guard#"\n',
        "link.root: 'guard#' cannot be used; write letters, digits, _ and -, at most 32 characters",
    ),
    "a driver we do not have": (
        POST + LINK + READER.replace("rc522", "rc523"),
        "reader[0]: driver 'rc523' is not known; there are hid, osdp, pn532, rc522, wiegand",
    ),
    "a chip select that is none": (
        POST + LINK + READER + "chip_select = 2\n",
        "reader[0].chip_select: 2 cannot be used; it must be 0 or 1",
    ),
    "a door that is normally ajar": (
        POST + LINK + DOOR + 'normally = "ajar"\n',
        "door[0].normally: 'ajar' cannot be used; it must be 'closed' or 'open'",
    ),
    "a protocol that is no MQTT version": (
        POST + LINK + 'protocol = "4"\n',
        "link.protocol: '4' cannot be used; it must be 'auto', '5' or '3.1.1'",
    ),
    "a pin of the identification EEPROM": (
        POST + LINK + DOOR.replace("17", "1"),
        "door[0].pin: 1 cannot be used; it must be greater than or equal to 2",
    ),
    "a pin beyond the header": (
        POST + LINK + DOOR.replace("17", "28"),
        "door[0].pin: 28 cannot be used; it must be less than or equal to 27",
    ),
    "a time zone that is none": (POST + 'timezone = "Jakarta"\n' + LINK, f"post.timezone: 'Jakarta' {ZONE_MEND}"),
    "a folder of time zones": (POST + 'timezone = "Asia"\n' + LINK, f"post.timezone: 'Asia' {ZONE_MEND}"),
    "no time zone": (POST + 'timezone = ""\n' + LINK, f"post.timezone: '' {ZONE_MEND}"),
    "a time zone out of the folder": (
        POST + 'timezone = "../../etc/passwd"\n' + LINK,
        f"post.timezone: '../../etc/passwd' {ZONE_MEND}",
    ),
    # durations
    **{
        f"duration {bad}": (
            POST + LINK + f"[checkin]\nrepeat_after = {bad}\n",
            f"checkin.repeat_after: {told} {DURATION_MEND}",
        )
        for bad, told in {
            "10": "10",
            '"10"': "'10'",
            '"10 s"': "'10 s'",
            '"1.5h"': "'1.5h'",
            '"-1s"': "'-1s'",
            '"1w"': "'1w'",
            '""': "''",
            '"1h30m"': "'1h30m'",
            "true": "True",
            '"9999999999s"': "'9999999999s'",
        }.items()
    },
    "keepalive too short": (POST + LINK + 'keepalive = "4999ms"\n', 'link.keepalive: must be from "5s" to "1h"'),
    "keepalive too long": (POST + LINK + 'keepalive = "2h"\n', 'link.keepalive: must be from "5s" to "1h"'),
    "state too often": (POST + LINK + 'state_every = "1s"\n', 'link.state_every: must be "5s" or more'),
    # broker addresses
    **{
        f"address {bad}": (
            POST + f'[link]\nbrokers = ["mqtt://127.0.0.1", {bad}]\n',
            f"link.brokers[1]: {told} {BROKER_MEND}",
        )
        for bad, told in {
            '"broker.example"': "'broker.example'",
            '"http://broker"': "'http://broker'",
            '""': "''",
            '"mqtt://"': "'mqtt://'",
            '"mqtt://:1883"': "'mqtt://:1883'",
            '"mqtt://h:0"': "'mqtt://h:0'",
            '"mqtt://h:65536"': "'mqtt://h:65536'",
            '"mqtt://h:port"': "'mqtt://h:port'",
            '"mqtt://[::1"': "'mqtt://[::1'",
            '"mqtt://a b"': "'mqtt://a b'",
            '"mqtt://h/topic"': "'mqtt://h/topic'",
            '"mqtt://h?x=1"': "'mqtt://h?x=1'",
            "1883": "1883",
            '["mqtt://h"]': "['mqtt://h']",
        }.items()
    },
    **{
        f"time server {bad}": (POST + LINK + f"[time]\nserver = {bad}\n", f"time.server: {told} {SERVER_MEND}")
        for bad, told in {
            '""': "''",
            '"ntp://192.168.1.1"': "'ntp://192.168.1.1'",
            '"192.168.1.1:0"': "'192.168.1.1:0'",
            '"192.168.1.1:65536"': "'192.168.1.1:65536'",
            '"192.168.1.1:ntp"': "'192.168.1.1:ntp'",
            '"fd00::17"': "'fd00::17'",
            '"[fd00::17"': "'[fd00::17'",
            '"me@192.168.1.1"': "'me@192.168.1.1'",
            '"a b"': "'a b'",
            "123": "123",
            '["192.168.1.1"]': "['192.168.1.1']",
        }.items()
    },
    **{
        f"night {bad}": (POST + LINK + INDICATOR + f"night = {bad}\n", f"indicator.night: {told} {HOURS_MEND}")
        for bad, told in {
            '"22:00"': "'22:00'",
            '"22-06"': "'22-06'",
            '"24:00-06:00"': "'24:00-06:00'",
            '"22:00-06:60"': "'22:00-06:60'",
            '"22:00-22:00"': "'22:00-22:00'",
            '"22:00 - 06:00"': "'22:00 - 06:00'",
            '"10pm-6am"': "'10pm-6am'",
            '""': "''",
            "22": "22",
            "22:00:00": "datetime.time(22, 0)",
        }.items()
    },
    "a tone for a buzzer that has its own": (
        POST + LINK + INDICATOR + "tone_hz = 2000\n",
        'indicator: an active buzzer has a tone of its own; drop tone_hz, or write buzzer_kind = "passive"',
    ),
    "a tone beyond what can be played": (
        POST + LINK + INDICATOR + 'buzzer_kind = "passive"\ntone_hz = 20000\n',
        "indicator.tone_hz: 20000 cannot be used; it must be less than or equal to 10000",
    ),
    "a volume that nobody hears": (
        POST + LINK + INDICATOR + "night_volume = 0\n",
        "indicator.night_volume: 0 cannot be used; it must be greater than or equal to 10",
    ),
    "a buzzer that is neither": (
        POST + LINK + INDICATOR + 'buzzer_kind = "loud"\n',
        "indicator.buzzer_kind: 'loud' cannot be used; it must be 'active' or 'passive'",
    ),
    "lights lit by neither level": (
        POST + LINK + INDICATOR + 'lit_by = "on"\n',
        "indicator.lit_by: 'on' cannot be used; it must be 'high' or 'low'",
    ),
    "a lid that is normally ajar": (
        POST + LINK + TAMPER + 'normally = "ajar"\n',
        "tamper[0].normally: 'ajar' cannot be used; it must be 'closed' or 'open'",
    ),
    "a lid that would be held": (
        POST + LINK + TAMPER + 'held_after = "60s"\n',
        "tamper[0].held_after: unknown key; known here: name, normally, pin",
    ),
    "a password in an address": (
        POST + '[link]\nbrokers = ["mqtt://post:secret@broker"]\n',
        "link.brokers[0]: no user or password in an address; the user is site/name, "
        "put the password in password_file",
    ),
    # one owner each
    "two inputs on one pin": (
        POST + LINK + DOOR + BUTTON.replace("22", "17"),
        "pin 17 is used by door[0].pin and by button[0].pin; give each its own pin",
    ),
    "a lid on a door's pin": (
        POST + LINK + DOOR + TAMPER.replace("23", "17"),
        "pin 17 is used by door[0].pin and by tamper[0].pin; give each its own pin",
    ),
    "a lid of a door's name": (
        POST + LINK + DOOR + TAMPER.replace("lid", "front"),
        f"name front is used by door[0] and by tamper[0]; give each its own name, {PLACES}",
    ),
    "a light on a door's pin": (
        POST + LINK + DOOR + "[indicator]\ngreen = 5\nred = 17\n",
        "pin 17 is used by door[0].pin and by indicator.red; give each its own pin",
    ),
    "both lights on one pin": (
        POST + LINK + "[indicator]\ngreen = 5\nred = 5\n",
        "pin 5 is used by indicator.green and by indicator.red; give each its own pin",
    ),
    "a door on the SPI clock": (
        POST + LINK + READER + DOOR.replace("17", "11"),
        "pin 11 is used by SPI clock (reader) and by door[0].pin; give each its own pin",
    ),
    "a door on the reader's chip select": (
        POST + LINK + READER + DOOR.replace("17", "8"),
        "pin 8 is used by reader[0].chip_select and by door[0].pin; give each its own pin",
    ),
    "two readers on one chip select": (
        POST + LINK + READER + READER.replace("gate", "back"),
        "pin 8 is used by reader[0].chip_select and by reader[1].chip_select; give each its own pin",
    ),
    "a door on the reader's reset": (
        POST + LINK + READER + "reset_pin = 17\n" + DOOR,
        "pin 17 is used by reader[0].reset_pin and by door[0].pin; give each its own pin",
    ),
    "two parts of one name": (
        POST + LINK + DOOR + BUTTON.replace('"checkin"\npin', '"front"\npin'),
        f"name front is used by door[0] and by button[0]; give each its own name, {PLACES}",
    ),
    "a door with the camera's subject": (
        POST + LINK + DOOR.replace("front", "camera") + "[camera]\n",
        f"name camera is used by the camera and by door[0]; give each its own name, {PLACES}",
    ),
    "a picture that JPEG cannot halve": (
        POST + LINK + "[camera]\nsize = [1921, 1080]\n",
        "camera.size[0]: 1921 cannot be used; it must be a multiple of 2",
    ),
    "a control that is no number": (
        POST + LINK + "[camera]\ncontrols = { AnalogueGain = inf }\n",
        "camera.controls: AnalogueGain is no number that a camera takes; write a finite one",
    ),
    "a mask outside the picture": (
        POST + LINK + "[camera]\nsize = [640, 480]\nmasks = [[0, 0, 10, 10], [600, 0, 100, 10]]\n",
        "camera: mask [600, 0, 100, 10] (left, top, width, height) is not inside the picture, which is 640 x 480; "
        "make it smaller",
    ),
    "a seal key that is no key": (
        POST + LINK + '[camera]\nseal_to = "secret"\n',
        f"camera.seal_to: 'secret' is no X25519 public key; {PICTURE_KEY}",
    ),
    "a seal key that is no key's spelling": (
        POST + LINK + f'[camera]\nseal_to = "CQ{"A" * 40}B"\n',
        f"camera.seal_to: 'CQ{'A' * 40}B' is no X25519 public key; {PICTURE_KEY}",
    ),
    "a seal key with which nothing can be agreed": (
        POST + LINK + f'[camera]\nseal_to = "{"A" * 43}"\n',
        f"camera.seal_to: '{'A' * 43}' is no X25519 public key; {PICTURE_KEY}",
    ),
    "pictures at what nobody does": (
        POST + LINK + '[camera]\non = ["sneeze"]\n',
        "camera.on[0]: 'sneeze' cannot be used; it must be 'checkin', 'door', 'duress', 'missed' or 'order'",
    ),
    "more frames than memory": (
        POST + LINK + '[camera]\nbefore = "31s"\n',
        'camera.before: must be "30s" or less: so many frames are held in memory',
    ),
    "room for no picture": (
        POST + LINK + '[camera]\nmost_bytes = "3MB"\n',
        'camera.most_bytes: must be "4MiB" or more',
    ),
    "pictures that never arrive": (
        POST + LINK.rstrip() + '\npicture_rate = "0kB"\n',
        'link.picture_rate: must be "1kB" or more (a second)',
    ),
    "a door with the post's own subject": (
        POST + LINK + DOOR.replace("front", "post"),
        f"name post is used by the post itself and by door[0]; give each its own name, {PLACES}",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_is_one_line_with_its_mend(tmp_path: Path, mistake: str) -> None:
    text, told = MISTAKES[mistake]
    assert refusal(written(tmp_path, text)) == [told]


def test_three_mistakes_are_three_lines(tmp_path: Path) -> None:
    text = POST.replace("jember", "Jember") + LINK + 'keepalive = "1"\n' + DOOR + "pine = 4\n"
    assert refusal(written(tmp_path, text)) == [
        f"post.site: 'Jember' cannot be used; {NAME_MEND}",
        f"link.keepalive: '1' {DURATION_MEND}",
        "door[0].pine: unknown key; did you mean pin?",
    ]


def test_spi_pins_are_free_where_there_is_no_reader(tmp_path: Path) -> None:
    assert loaded(tmp_path, POST + LINK + DOOR.replace("17", "11")).door[0].pin == 11


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b"[post\n",
            "not TOML: Expected ']' at the end of a table declaration (at line 1, column 6); correct that line",
        ),
        (b"x = " + b"[" * 5_000, "not TOML: nested too deeply; correct the brackets"),
        (b'[post]\nsite = "j\xe9mber"\n', "byte 16 is not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "post.toml"
    file.write_bytes(content)
    assert refusal(file) == [told]


def test_a_number_of_five_thousand_digits_is_one_line(tmp_path: Path) -> None:
    (line,) = refusal(written(tmp_path, POST + LINK + f"[checkin]\nrepeat_after = {'9' * 5_000}\n"))
    assert line.startswith("not TOML: ")


def test_a_missing_file_and_a_folder_are_one_line_each(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert refusal(missing) == ["cannot be read (No such file or directory); name another with --config"]
    assert refusal(tmp_path) == ["cannot be read (Is a directory); name another with --config"]


def test_an_empty_file_names_what_is_missing(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "")) == ["post: missing; add it", "link: missing; add it"]


def sections(annotation: object) -> Iterator[type[Section]]:
    """The sections within ``Section``, ``Section | None`` or ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from sections(argument)


def keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        below = list(sections(field.annotation))
        yield from (key for section in below for key in keys(section))
        if not below:
            yield name


def test_the_example_explains_every_key() -> None:
    """Commented out or not: who reads the example has read about all there is."""
    text = (Path(device.__file__).parent / "post.example.toml").read_text()
    missing = [key for key in keys(Config) if not re.search(rf"^(# )?{key} = ", text, re.MULTILINE)]
    assert missing == []


def test_without_a_recorder_only_mqtt_5_will_do() -> None:
    link = {"brokers": ["mqtt://127.0.0.1"], "keep_until": "broker"}
    post = {"site": "jember", "name": "gate"}
    settings = parse({"post": post, "link": link}, Path("post.toml")).link
    redial = Redial(settings, random.Random(1))
    closed = Disconnected(Instant(1_000, 1_795_000_000_000), 1, "closed", mute=True)
    for _ in range(5):
        assert redial.next()[1] == "5"
        redial.ended(closed, "5", None)
    with pytest.raises(ConfigError, match="needs MQTT 5"):
        parse({"post": post, "link": {**link, "protocol": "3.1.1"}}, Path("post.toml"))
