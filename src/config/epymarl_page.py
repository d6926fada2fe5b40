"""The tables of `config/epymarl.py` as Markdown, for docs/coming_from/epymarl.md."""

from config import epymarl


def epymarl_markdown() -> str:
    """All tables, each below its heading."""
    parts = ["## Settings", *_table("setting", epymarl.SETTINGS), "## Settings of environments"]
    parts += _table("`env_args`", epymarl.ENV_ARGS)
    parts += ["## Same word, another meaning", "| setting | here |", "|---|---|"]
    parts += [f"| `{name}` | {text} |" for name, text in epymarl.SAME_WORD.items()]
    for slot, table in epymarl.COMPONENTS.items():
        parts += [f"## `{slot}`", *_table(f"`{slot}:`", table)]
    for flag, table in epymarl.FILES.items():
        parts += [f"## `{flag}`", *_table(f"`{flag}=`", table)]
    parts += ["## `env_args.key` of gymma", *_table("begins with", epymarl.KEYS)]
    return "\n".join(f"\n{part}\n" if part.startswith("#") else part for part in parts).strip()


def _table(head: str, table: dict[str, epymarl.Counterpart]) -> list[str]:
    rows = [f"| {head} | write | |", "|---|---|---|"]
    for name, (write, note) in table.items():
        rows.append(f"| `{name}` | {f'`{write}`' if write else 'no counterpart'} | {note} |")
    return rows
