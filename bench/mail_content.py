"""What the messages of the delivery benchmark say."""

SUBJECT = "Ten percent off until Sunday"
TEXT = """Good morning,

until Sunday everything in the shop is ten percent off. Bring this message along, or show it on your telephone.

    Monday to Friday    08:00 to 20:00
    Saturday            09:00 to 18:00

We look forward to seeing you.
"""
