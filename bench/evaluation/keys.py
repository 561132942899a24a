"""Private keys of every kind that is written between two marks; what must go is each line of them."""

import random

from bench.evaluation.draw import BASE64, Draw

_LABELS = (
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "ANY PRIVATE KEY",
    "PGP PRIVATE KEY BLOCK",
    "SSH2 ENCRYPTED PRIVATE KEY",
)


def _lines(draw: Draw, count: int, width: int = 64) -> str:
    return "\n".join(
        [*(draw.of(BASE64, width) for _ in range(count - 1)), draw.of(BASE64, width // 2) + "=="]
    )


def _keys() -> list[tuple[str, str]]:
    draw = Draw(random.Random("keys"))
    keys = []
    for label in _LABELS:
        for count in (3, 13, 26, 50):
            body = _lines(draw, count)
            begin, end = f"-----BEGIN {label}-----", f"-----END {label}-----"
            if label.startswith("SSH2"):
                # RFC 4716 section 3: four dashes and a blank.
                begin, end = f"---- BEGIN {label} ----", f"---- END {label} ----"
            head = "Version: 2\nComment: demo\n\n" if "PGP" in label else ""
            keys += [
                (f"key:\n{begin}\n{head}{body}\n{end}\nbehind\n", body),
                # Cut off: the rest of it is elsewhere.
                (f"{begin}\n{head}{body}\n", body),
                # As a setting on one line, and as lines of source code.
                (f'PRIVATE_KEY="{begin}\\n{body.replace(chr(10), chr(92) + "n")}\\n{end}\\n"\n', body),
                ("\n".join(f'    "{line}\\n"' for line in [begin, *body.split("\n"), end]), body),
                # Indented, as in YAML, and with the line breaks of Windows.
                ("tls.key: |\n" + "\n".join(f"    {line}" for line in [begin, *body.split("\n"), end]), body),
                (f"{begin}\r\n{body}\r\n{end}\r\n".replace("\n", "\r\n").replace("\r\r", "\r"), body),
                # All on one line.
                (f"{begin} {body.replace(chr(10), ' ')} {end}\n", body),
            ]
        legacy = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{draw.hex(32).upper()}\n\n"
        body = _lines(draw, 25)
        keys.append(
            (f"-----BEGIN RSA PRIVATE KEY-----\n{legacy}{body}\n-----END RSA PRIVATE KEY-----\n", body)
        )
    putty = _lines(draw, 14)
    keys.append(
        (
            "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: demo\n"
            "Public-Lines: 1\nAAAAB3NzaC1yc2EAAAAD\n"
            f"Private-Lines: 14\n{putty}\nPrivate-MAC: {draw.hex(64)}\n",
            putty,
        )
    )
    return keys


#: Text and secret.
KEYS: list[tuple[str, str]] = _keys()
