"""The PAM module behind ``tests/peers/pam_sshd.py``, run by libpam-python inside sshd: asks what its steps say.

Its argument is a JSON file: ``{"auth": [step, …], "expired": [step, …]}``; ``expired`` makes the account want a new
password. Steps: ``{"prompt", "echo", "expect"}`` (an answer refuses unless it is one of ``expect``; none: any will do),
``{"info"}``, ``{"error"}``, ``{"wait": file}`` (until it is there; what it says is the verdict), ``{"token": url}``
("Access Token: ", checked as pam_oidc_token does). Answers are appended to ``<argument>.given``, for the tests to see.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request


def pam_sm_authenticate(pamh, flags, argv):
    return _run(pamh, argv[1], "auth")


def pam_sm_setcred(pamh, flags, argv):
    return pamh.PAM_SUCCESS


def pam_sm_acct_mgmt(pamh, flags, argv):
    return pamh.PAM_NEW_AUTHTOK_REQD if _steps(argv[1]).get("expired") else pamh.PAM_SUCCESS


def pam_sm_chauthtok(pamh, flags, argv):
    if flags & pamh.PAM_PRELIM_CHECK:
        return pamh.PAM_SUCCESS
    return _run(pamh, argv[1], "expired")


def pam_sm_open_session(pamh, flags, argv):
    return pamh.PAM_SUCCESS


def pam_sm_close_session(pamh, flags, argv):
    return pamh.PAM_SUCCESS


def _steps(place):
    with open(place) as file:
        return json.load(file)


def _run(pamh, place, which):
    for step in _steps(place)[which]:
        if "info" in step:
            pamh.conversation(pamh.Message(pamh.PAM_TEXT_INFO, step["info"]))
        elif "error" in step:
            pamh.conversation(pamh.Message(pamh.PAM_ERROR_MSG, step["error"]))
        elif "wait" in step:
            if not _waited(step["wait"]):
                return pamh.PAM_AUTH_ERR
        elif "token" in step:
            if not _verified(step["token"], pamh.user, _ask(pamh, place, "Access Token: ", False)):
                return pamh.PAM_AUTH_ERR
        else:
            answer = _ask(pamh, place, step["prompt"], step.get("echo", False))
            if step.get("expect") and answer not in step["expect"]:
                return pamh.PAM_AUTH_ERR
    return pamh.PAM_SUCCESS


def _ask(pamh, place, prompt, echo):
    style = pamh.PAM_PROMPT_ECHO_ON if echo else pamh.PAM_PROMPT_ECHO_OFF
    answer = pamh.conversation(pamh.Message(style, prompt)).resp
    with open(place + ".given", "a") as file:
        file.write(json.dumps(answer) + "\n")
    return answer


def _waited(place):
    while True:
        try:
            with open(place) as file:
                text = file.read()
            if text:
                return text == "yes"
        except OSError:
            pass
        time.sleep(0.05)


def _verified(url, user, token):
    query = urllib.parse.urlencode({"username": user})
    request = urllib.request.Request(url + "/verify_user?" + query, headers={"Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            answer = json.load(response)
    except (urllib.error.URLError, ValueError):
        return False
    return answer.get("state") == "deployed" and answer.get("verified") is True
