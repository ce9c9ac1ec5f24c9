"""The sign-in pages of the demo provider, as HTML. Pure functions; every text from outside is escaped.

They work without JavaScript, with the keyboard, in the dark, and on a phone.
"""

from __future__ import annotations

from html import escape

from app.facility.persons import PERSONS, Person

STYLE = """
:root{color-scheme:light dark;--bg:#f3f5f9;--card:#fff;--text:#1c2330;--soft:#5b6678;--line:#d7dde7;--accent:#0b67d0;
--accent-text:#fff;--tint:#e3eefb;--bad:#b3261e;--good:#1a7f4b}
@media(prefers-color-scheme:dark){:root{--bg:#12161d;--card:#1b212b;--text:#e6eaf1;--soft:#9aa6b8;--line:#323b49;
--accent:#5aa2f5;--accent-text:#0d1420;--tint:#22334a;--bad:#ff8a80;--good:#5fcf97}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px;background:var(--bg);color:var(--text);
font:16px/1.5 Inter,system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main{width:100%;max-width:460px;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:32px}
.site{display:flex;align-items:center;gap:10px;color:var(--soft);font-size:14px;margin:0 0 20px}
.dot{width:12px;height:12px;border-radius:50%;background:var(--accent)}
h1{font-size:22px;line-height:1.3;margin:0 0 8px}
p{margin:0 0 16px}.soft{color:var(--soft)}
label.field{display:block;font-weight:600;margin:18px 0 6px}
input[type=text],input[type=password]{width:100%;font:inherit;font-size:20px;letter-spacing:.12em;padding:10px 12px;
border:1px solid var(--line);border-radius:8px;background:var(--bg);color:var(--text)}
.code{font:600 28px/1.2 ui-monospace,"DejaVu Sans Mono",monospace;letter-spacing:.1em;background:var(--tint);
border-radius:8px;padding:14px;text-align:center;margin:0 0 16px}
fieldset{border:0;padding:0;margin:18px 0 0}legend{font-weight:600;padding:0;margin:0 0 6px}
.person{display:flex;gap:12px;align-items:center;border:1px solid var(--line);border-radius:8px;padding:10px 12px;
margin:0 0 8px;cursor:pointer}
.person:has(input:checked){border-color:var(--accent);background:var(--tint)}
.person small{display:block;color:var(--soft)}
input[type=radio]{accent-color:var(--accent);width:18px;height:18px;flex:none}
.buttons{display:flex;gap:12px;margin-top:24px}
button{flex:1;font:inherit;font-weight:600;padding:11px 16px;border-radius:8px;border:1px solid var(--line);
background:transparent;color:var(--text);cursor:pointer}
button.main{background:var(--accent);border-color:var(--accent);color:var(--accent-text)}
button.link{border:0;padding:0;color:var(--accent);font-weight:400;flex:none}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
ul{padding-left:20px;margin:0 0 16px}
input+p.soft{margin-top:10px}
.bad{color:var(--bad);font-weight:600}.good{color:var(--good)}
footer{margin-top:28px;padding-top:16px;border-top:1px solid var(--line);color:var(--soft);font-size:13px}
"""

_SCOPES = {
    "openid": "know that it is you",
    "profile": "see your name",
    "email": "see your e-mail address",
    "offline_access": "keep you signed in until you sign out",
}


def sign_in_page(form_token: str, *, user_code: str | None, chosen: str = "", fault: str = "") -> str:
    """Asks who it is, and the PIN; with the code field when ``user_code`` is not ``None``."""
    code = "" if user_code is None else (
        '<label class="field" for="code">Code shown by Beamside</label>'
        f'<input id="code" name="user_code" type="text" value="{escape(user_code)}" autocomplete="off" '
        f'autocapitalize="characters" spellcheck="false" maxlength="20" required{"" if user_code else " autofocus"}>')
    focus = "" if user_code == "" else " autofocus"
    body = f"""<h1>Sign in</h1>
{_fault(fault)}<form method="post">{_hidden(form_token)}{code}
<fieldset><legend>Who are you today?</legend>{_persons(chosen)}</fieldset>
<label class="field" for="pin">Demo PIN</label>
<input id="pin" name="pin" type="password" inputmode="numeric" autocomplete="off" maxlength="20" required{focus}>
<p class="soft">Beamside shows it where the demo was started. It keeps others on this computer from signing in.</p>
<div class="buttons"><button class="main" name="action" value="sign_in">Continue</button></div></form>"""
    return page("Sign in", body)


def code_page(form_token: str, person: Person, *, fault: str = "") -> str:
    """Asks for the code alone: this browser is already signed in."""
    body = f"""<h1>Enter the code</h1>
<p>Signed in as <strong>{escape(person.name)}</strong>.</p>{_fault(fault)}
<form method="post">{_hidden(form_token)}
<label class="field" for="code">Code shown by Beamside</label>
<input id="code" name="user_code" type="text" autocomplete="off" autocapitalize="characters" spellcheck="false"
 maxlength="20" autofocus>
<div class="buttons"><button class="main" name="action" value="continue">Continue</button></div>
<p></p><button class="link" name="action" value="switch" formnovalidate>I am somebody else</button></form>"""
    return page("Enter the code", body)


def consent_page(form_token: str, person: Person, client: str, scope: str, *, user_code: str = "") -> str:
    """Asks whether the application may sign in."""
    wishes = "".join(f"<li>{escape(_SCOPES[s])}</li>" for s in scope.split() if s in _SCOPES)
    code = (f'<div class="code">{escape(user_code)}</div>'
            '<p>Approve only if Beamside shows exactly this code on your screen.</p>'
            f'<input type="hidden" name="user_code" value="{escape(user_code)}">' if user_code else "")
    body = f"""<h1>Let {escape(client.capitalize())} sign in?</h1>
<p>You are <strong>{escape(person.name)}</strong>, <span class="soft">{escape(person.role)}</span>.</p>
<form method="post">{_hidden(form_token)}{code}
<p>It will be able to</p><ul>{wishes}<li>open SSH connections to the demo facility as you</li></ul>
<div class="buttons"><button name="action" value="refuse">Refuse</button>
<button class="main" name="action" value="approve">Approve</button></div>
<p></p><button class="link" name="action" value="switch" formnovalidate>I am somebody else</button></form>"""
    return page("Approve the sign-in", body)


def sign_out_page(form_token: str, person: Person) -> str:
    """Asks whether this browser should forget who signed in."""
    body = f"""<h1>Sign out?</h1>
<p>This browser remembers that you are <strong>{escape(person.name)}</strong>.</p>
<form method="post">{_hidden(form_token)}
<div class="buttons"><button class="main" name="action" value="sign_out" autofocus>Sign out</button></div></form>"""
    return page("Sign out", body)


def message_page(title: str, text: str, *, good: bool = False) -> str:
    """The end of a visit."""
    return page(title, f'<h1 class="{"good" if good else ""}">{escape(title)}</h1><p>{escape(text)}</p>')


def page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(title)} · Beamside demo facility</title><link rel="stylesheet" href="/style.css"></head>
<body><main><p class="site"><span class="dot"></span>Beamside demo facility · sign-in</p>
{body}
<footer>This page comes from the demo facility on this computer. Its people are invented.</footer></main></body></html>
"""


def _persons(chosen: str) -> str:
    known = chosen if any(p.subject == chosen for p in PERSONS) else PERSONS[0].subject
    return "".join(
        f'<label class="person"><input type="radio" name="person" value="{escape(p.subject)}"'
        f'{" checked" if p.subject == known else ""}><span>{escape(p.name)}'
        f'<small>{escape(p.role)}</small></span></label>'
        for p in PERSONS)


def _hidden(form_token: str) -> str:
    return f'<input type="hidden" name="form_token" value="{escape(form_token)}">'


def _fault(text: str) -> str:
    return f'<p class="bad" role="alert">{escape(text)}</p>' if text else ""
