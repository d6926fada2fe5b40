"""Compares messages by what they say, not by their whole wording."""


def unsaid(message: str, facts: str) -> str:
    """The first fact that a message lacks; empty if it says all of them in order.

    Args:
        message: what the user reads.
        facts: the setting, the value seen, the remedy, separated by ` ... `.
    """
    place = 0
    for fact in facts.split(" ... "):
        found = message.find(fact, place)
        if found < 0:
            return fact
        place = found + len(fact)
    return ""


def says(messages: list[str], facts: list[str]) -> bool:
    """Whether there is one message for each entry of `facts`, in order, that says it."""
    missing = [unsaid(*pair) for pair in zip(messages, facts, strict=False)]
    assert not any(missing), [m for m in zip(messages, missing, strict=False) if m[1]]
    return len(messages) == len(facts)
