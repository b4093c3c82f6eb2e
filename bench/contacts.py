"""Where a household can be reached: the one thing the data does not tell, made up from what it does.

Every address is a function of the household's number and its demographics, so two runs write to the same
people. The domain and the telephone exchange exist in no network.
"""

from __future__ import annotations

YOUNG = ("19-24", "25-34")
MIDDLE = ("35-44", "45-54", "55-64")
HOUSEHOLD = "household-"


def household_name(number: int) -> str:
    """The recipient id of a household."""
    return f"{HOUSEHOLD}{number}"


def household_number(name: str) -> int:
    """The household of a recipient id or an e-mail address. Raises `ValueError` where it is nobody's."""
    return int(name.partition("@")[0].removeprefix(HOUSEHOLD))


def comes_back(channel: str, number: int) -> bool:
    """Whether what is sent to household `number` on a channel comes back: one in ten gave a mailbox that is dead."""
    return channel == "email" and number % 10 == 4


def contacts_of(number: int, age: str | None) -> dict[str, str]:
    """The addresses of household `number`, whose head is of the age band `age` (None: never asked).

    Everyone gave an e-mail address with the loyalty card. The households that answered the demographic
    survey gave a telephone number as well, and so did every second other one. The young use WhatsApp and
    Instagram, those after them Facebook.
    """
    name = household_name(number)
    telephone = f"+1555{number:07d}"
    contacts = {"email": f"{name}@example.com"}
    if age is not None or number % 2 == 0:
        contacts["sms"] = telephone
    if age in YOUNG:
        contacts["whatsapp"] = telephone
        contacts["instagram"] = f"{name}.ig"
    if age in MIDDLE:
        contacts["facebook"] = f"{name}.fb"
    return contacts
