"""Harmless texts: lock files, pages, diffs, logs and their like. Each function makes one document."""

from collections.abc import Callable
from difflib import unified_diff
from html import escape

from bench.evaluation.draw import BASE62, BASE64, BASE64URL, Draw
from bench.evaluation.services import SERVICES


def diff(draw: Draw, source: str) -> str:
    lines = source.splitlines(keepends=True)
    changed = [line.replace("self", "this") if draw.chance.random() < 0.1 else line for line in lines]
    diff = "".join(unified_diff(lines, changed, "a/src/token.py", "b/src/token.py"))
    return (
        f"commit {draw.hex(40)}\nAuthor: {draw.words(2)} <a@example.org>\n\n    {draw.words(8)}\n\n"
        f"diff --git a/src/token.py b/src/token.py\nindex {draw.hex(10)}..{draw.hex(10)} 100644\n{diff}"
    )


def page(draw: Draw, source: str) -> str:
    return f"""<!DOCTYPE html><html><head><meta name="csrf-token" content="{draw.of(BASE64, 86)}==">
<link rel="stylesheet" href="/assets/app-{draw.hex(64)}.css" integrity="sha384-{draw.of(BASE64, 64)}">
<script nonce="{draw.of(BASE64, 22)}" src="/assets/{draw.hex(20)}.js" crossorigin="anonymous"></script></head>
<body data-session="{draw.uuid()}"><form method="post"><input type="hidden" name="authenticity_token"
value="{draw.of(BASE64URL, 86)}"><label>Password
<input type="password" name="password" placeholder="Your password"></label></form>
<h1>{draw.words(5)}</h1><p>{draw.words(60)}</p>
<pre><code>{escape(source)}</code></pre>
<img src="data:image/png;base64,iVBORw0KGgo{draw.of(BASE64, 400)}==">
<a href="/t/{draw.of(BASE62, 22)}">more</a>
</body></html>"""


def yarn_lock(draw: Draw, source: str) -> str:
    return "\n".join(
        f'"@auth/{draw.words(1)}@^7.0.0":\n  version "7.0.{n}"\n  resolved "https://registry.example/x.tgz#{draw.hex(40)}"\n'
        f"  integrity sha512-{draw.of(BASE64, 86)}==\n"
        for n in range(30)
    )


def cargo_lock(draw: Draw, source: str) -> str:
    return "\n".join(
        f'[[package]]\nname = "{draw.words(1)}-token"\nversion = "0.{n}.1"\nsource = "registry+https://github.example/index"\n'
        f'checksum = "{draw.hex(64)}"\n'
        for n in range(30)
    )


def go_sum(draw: Draw, source: str) -> str:
    names = (
        "golang.org/x/oauth2",
        "github.com/golang-jwt/jwt/v5",
        "github.com/stripe/stripe-go",
        "cloud.google.com/go/auth",
        "github.com/hashicorp/vault/api",
        "github.com/aws/aws-sdk-go-v2/credentials",
        "github.com/slack-go/slack",
        "github.com/google/go-github/v60",
        "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets",
    )
    return "".join(
        f"{name} v0.{n}.0 h1:{draw.of(BASE64, 43)}=\n{name} v0.{n}.0/go.mod h1:{draw.of(BASE64, 43)}=\n"
        for n in range(6)
        for name in names
    )


def poetry_lock(draw: Draw, source: str) -> str:
    return "\n".join(
        f'[[package]]\nname = "{name}"\nversion = "2.{n}.0"\nfiles = [\n'
        + "".join(
            f'    {{file = "{name}-2.{n}.0-py3-none-any.whl", hash = "sha256:{draw.hex(64)}"}},\n'
            for _ in range(3)
        )
        + "]\n"
        for n in range(6)
        for name in (
            "keyring",
            "secretstorage",
            "tokenize-rt",
            "google-auth",
            "stripe",
            "slack-sdk",
            "openai",
        )
    )


def svg(draw: Draw, source: str) -> str:
    path = " ".join(
        f"L{draw.digits(2)}.{draw.digits(5)},{draw.digits(2)}.{draw.digits(5)}" for _ in range(120)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><title>key</title>'
        f'<path id="{draw.of(BASE62, 16)}" d="M0 0{path}z"/></svg>'
    )


def csv(draw: Draw, source: str) -> str:
    rows = [
        f"{draw.uuid()},{draw.words(2)},{draw.hex(32)},{draw.timestamp()},{draw.digits(5)}" for _ in range(60)
    ]
    return "\n".join(["id,name,md5,created,key", *rows])


def certificate(draw: Draw, source: str) -> str:
    lines = "\n".join(draw.of(BASE64, 64) for _ in range(20))
    ssh = f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ{draw.of(BASE64, 300)}= ci@example.org"
    return (
        f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
        f"-----BEGIN PUBLIC KEY-----\n{lines}\n"
        f"-----END PUBLIC KEY-----\n{ssh}\n"
        f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{draw.of(BASE64, 43)} deploy-key\n"
        f"SHA256:{draw.of(BASE64, 43)} key fingerprint\nX509v3 Subject Key Identifier:\n    "
        + ":".join(draw.hex(2).upper() for _ in range(20))
    )


def log(draw: Draw, source: str) -> str:
    kinds: tuple[Callable[[], str], ...] = (
        lambda: f"INFO request_id={draw.uuid()} path=/v1/token status=200 duration=12ms",
        lambda: f'10.0.0.7 - - "GET /assets/app-{draw.hex(20)}.js HTTP/1.1" 200 5316 "-" "Mozilla/5.0"',
        lambda: f"DEBUG cache key {draw.hex(40)} missed; partition key {draw.of(BASE62, 20)}",
        lambda: (
            f"WARN invalid token for user {draw.digits(8)} trace_id={draw.hex(32)} span_id={draw.hex(16)}"
        ),
        lambda: f"INFO pulled image app@sha256:{draw.hex(64)}",
        lambda: f"INFO stripe event evt_{draw.of(BASE62, 24)} for customer cus_{draw.of(BASE62, 14)}",
        lambda: f"INFO slack channel C{draw.digits(10)} user U{draw.digits(10)} delivered",
        lambda: f"INFO checked out github commit {draw.hex(40)}",
        lambda: f"INFO session {draw.of(BASE62, 26)} of heroku dyno web.1 id {draw.uuid()}",
    )
    return "\n".join(f"{draw.timestamp()} {draw.chance.choice(kinds)()}" for _ in range(50))


def tree(draw: Draw, source: str) -> str:
    return "\n".join(f"100644 blob {draw.hex(40)}\tsrc/{draw.words(1)}/secret_{n}.py" for n in range(50))


def vectors(draw: Draw, source: str) -> str:
    return "\n\n".join(
        f"COUNT = {n}\nMsg = {draw.hex(64)}\nDigest = {draw.hex(64)}\n"
        f"Plaintext = {draw.hex(32)}\nIV = {draw.hex(24)}"
        for n in range(30)
    )


def documentation(draw: Draw, source: str) -> str:
    return f"""# {draw.words(3).title()}

Get an API key from the dashboard, then pass it in the `Authorization` header:

    curl -H "Authorization: Bearer YOUR_API_KEY" https://api.example/v1/items
    curl -H "X-Api-Key: $API_KEY" https://api.example/v1/items
    curl -u "$ACCOUNT:$TOKEN" https://api.example/v1/items

| Variable | Default | Meaning |
|---|---|---|
| `STRIPE_SECRET_KEY` | `sk_test_...` | the secret key of your Stripe account |
| `SLACK_BOT_TOKEN` | `xoxb-your-token` | begins with `xoxb-` |
| `DATABASE_URL` | `postgres://user:password@localhost/db` | where the data is |
| `API_TOKEN` | `<token>` | token of the API, 32 hexadecimal digits |

```yaml
api_key: ${{{{ secrets.API_KEY }}}}
password: changeme
client_secret: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
token: "{{{{ token }}}}"
```

```python
{source}
```
"""


def service_links(draw: Draw, source: str) -> str:
    """What stands beside the names of services all day: links, ids, digests, versions."""
    forms = (
        lambda name: f"https://{name}.com/files/{draw.of(BASE62, 22)}",
        lambda name: f"https://cdn.{name}.com/assets/app-{draw.hex(20)}.js",
        lambda name: f'"{name}_id": "{draw.uuid()}"',
        lambda name: f'"{name}_customer_id": "cus_{draw.of(BASE62, 14)}"',
        lambda name: f"{name} request id: {draw.uuid()}",
        lambda name: f"https://git.example/{name}/{name}-node/commit/{draw.hex(40)}",
        lambda name: f'"{name}-sdk": "^{draw.digits(1)}.12.3",',
        lambda name: (
            f'"node_modules/{name}": {{"version": "1.2.3", "integrity": "sha512-{draw.of(BASE64, 86)}=="}}'
        ),
        lambda name: f"{name}@1.2.3 sha256:{draw.hex(64)}",
        lambda name: (
            f'<img src="https://img.{name}.io/{draw.of(BASE62, 10)}/{draw.of(BASE62, 20)}.png?w=64">'
        ),
        lambda name: f"The {name} session of {draw.words(2)} ended at {draw.timestamp()}.",
        lambda name: f"import {name} from '{name}/lib/{draw.words(1)}2.js'",
        lambda name: (
            f"{name.title()} Inc, {draw.digits(3)} {draw.words(1).title()} Street, CA {draw.digits(5)}"
        ),
        lambda name: (
            f'<a href="https://{name}.com/t/{draw.words(1)}-{draw.words(1)}/{draw.digits(6)}">{name}</a>'
        ),
        lambda name: f"class {name.title()}Client2(Base{draw.words(1).title()}): ...",
        lambda name: f"{name} checksum {draw.hex(64)}",
    )
    return "\n".join(draw.chance.choice(forms)(draw.chance.choice(SERVICES)) for _ in range(10))


def near_misses(draw: Draw, source: str) -> str:
    """What looks like a secret by its name or by its form, and is none."""
    forms = (
        lambda: 'api_key = "your-api-key-here"',
        lambda: "API_TOKEN=<your token>",
        lambda: "SECRET_KEY=${SECRET_KEY:?unset}",
        lambda: "password: {{ vault_db_password }}",
        lambda: "client_secret: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        lambda: "token = secrets.token_urlsafe(32)",
        lambda: "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
        lambda: "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        lambda: f'"idempotency_key": "{draw.uuid()}"',
        lambda: f'"Idempotency-Key": "{draw.of(BASE62, 32)}"',
        lambda: f'"nextPageToken": "{draw.of(BASE64URL, 44)}"',
        lambda: f'"continuation_token": "{draw.of(BASE64, 64)}"',
        lambda: f'<input type="hidden" name="csrfmiddlewaretoken" value="{draw.of(BASE62, 64)}">',
        lambda: f'<input type="hidden" name="_token" value="{draw.of(BASE62, 40)}">',
        lambda: f'<meta name="csrf-token" content="{draw.of(BASE64, 86)}==">',
        lambda: f'"__RequestVerificationToken": "{draw.of(BASE64URL, 92)}"',
        lambda: f"publishableKey: 'pk_live_{draw.of(BASE62, 24)}'",
        lambda: f'stripeKey="pk_test_{draw.of(BASE62, 24)}"',
        lambda: f'<div class="g-recaptcha" data-sitekey="6L{draw.of(BASE62, 38)}"></div>',
        lambda: f'docsearch({{apiKey: "{draw.hex(32)}", indexName: "docs"}})',
        lambda: f'"apiKey":"AIzaSy{draw.of(BASE62, 33)}","authDomain":"demo.firebaseapp.com"',
        lambda: f'"ssh_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{draw.of(BASE62, 43)}"',
        lambda: f'"public_key": "{draw.of(BASE64, 43)}="',
        lambda: f'"foreign_key": "{draw.of(BASE62, 22)}"',
        lambda: f'"s3_key": "uploads/2026/{draw.uuid()}.png"',
        lambda: f'"cacheKey": "{draw.hex(40)}"',
        lambda: f'"etag": "{draw.hex(32)}", "version": "{draw.of(BASE62, 32)}"',
        lambda: f"uses: actions/checkout@{draw.hex(40)} # v4",
        lambda: f"FROM node:22@sha256:{draw.hex(64)}",
        lambda: f'"integrity": "sha512-{draw.of(BASE64, 86)}=="',
        lambda: f"github.com/golang-jwt/jwt/v5 v5.2.1 h1:{draw.of(BASE64, 43)}=",
        lambda: (
            f'{{"client_id":"{draw.of(BASE62, 20)}","client_secret":"{draw.of(BASE62, 40)}",'
            f'"client_id_issued_at":1767225600,"client_secret_expires_at":0,"redirect_uris":[]}}'
        ),
        lambda: f'{{"access_token":"{draw.of(BASE62, 40)}","token_type":"Bearer","expires_in":3600}}',
        lambda: f'{{"access_token":"gho_{draw.of(BASE62, 36)}","scope":"repo","token_type":"bearer"}}',
        lambda: "postgres://user:password@localhost:5432/app",
        lambda: "https://${USER}:${TOKEN}@git.example/a.git",
        lambda: '<label for="password">Password</label> <input id="password1" type="password">',
        lambda: f"Keyboard shortcut: Ctrl+Shift+K. Key: {draw.words(2)}.",
        lambda: f"The secret of {draw.words(3)} is {draw.words(1)}.",
    )
    return "\n".join(form() for form in draw.chance.sample(forms, 12))
