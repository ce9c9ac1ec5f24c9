"""Texts that would do harm if somebody pasted them into a command line, a script or a header."""

from __future__ import annotations

HOSTILE = (
    "", " ", "two words", "'", '"', "`touch CANARY`", "$(touch CANARY)", "${IFS}", "a;touch CANARY",
    "a|touch CANARY", "a&&touch CANARY", "a&", "a>CANARY", "a\n#SBATCH --wrap=x", "a\n#$ -b y",
    "#SBATCH --wrap=x", "#$ -b y", '#DIRECT {"name": "x"}', "a\ntouch CANARY", "a\r\nb", "a\x1fb", "a\x00b",
    "a\x1db", "a\x1b[31mb", "-", "--", "--wrap=touch CANARY", "-b", "-o/etc/passwd", "..", "../../etc/passwd",
    "/etc/passwd", "~", "*", "?", "[a]", "{a,b}", "%j", "$TASK_ID", "$JOB_ID/../x", "a,b", "a:b", "a=b",
    "a@b@c", "é", "日本", "\u202egnp", "\ufeffa", "a" * 300, "a\\", "\\n", "!!", "^", "(", ")", "<!--", "&amp;",
    "]]>", "0x1F", "1e9", "NaN", "None")
