"""Harmless JSON: what APIs, registries and models answer. Each function makes one document."""

import json
from base64 import b64encode

from bench.evaluation.draw import BASE62, BASE64, BASE64URL, Draw


def api_page(draw: Draw, source: str) -> str:
    items = [
        {
            "id": draw.uuid(),
            "object": "user",
            "created_at": draw.timestamp(),
            "name": draw.words(2).title(),
            "email": f"{draw.words(1)}@example.org",
            "avatar_url": f"https://avatars.example/u/{draw.digits(8)}?v=4",
            "external_id": draw.of(BASE62, 20),
            "etag": f'W/"{draw.hex(32)}"',
            "checksum": f"sha256:{draw.hex(64)}",
            "version": draw.digits(10),
            "idempotency_key": draw.uuid(),
            "cache_key": draw.hex(40),
            "primary_key": draw.of(BASE62, 22),
            "public_key": draw.of(BASE64, 44),
            "api_key_id": draw.of(BASE62, 20),
            "token_type": "bearer",
        }
        for _ in range(12)
    ]
    return json.dumps(
        {
            "data": items,
            "has_more": True,
            "next_page_token": draw.of(BASE64URL, 44),
            "nextPageToken": draw.of(BASE64, 40),
            "cursor": draw.of(BASE64, 48),
            "request_id": f"req_{draw.of(BASE62, 24)}",
            "csrf_token": draw.of(BASE64URL, 43),
            "_links": {"next": {"href": f"https://api.example/v1/users?page_token={draw.of(BASE64URL, 32)}"}},
        }
    )


def graphql(draw: Draw, source: str) -> str:
    edges = [
        {
            "cursor": draw.of(BASE64, 24) + "==",
            "node": {
                "id": b64encode(f"04:User{draw.digits(7)}".encode()).decode(),
                "oid": draw.hex(40),
                "abbreviatedOid": draw.hex(7),
                "messageHeadline": draw.words(6),
                "__typename": "Commit",
                "signature": {"keyId": draw.hex(16).upper(), "isValid": True},
            },
        }
        for _ in range(20)
    ]
    return json.dumps(
        {
            "data": {
                "repository": {"history": {"edges": edges, "pageInfo": {"endCursor": draw.hex(40) + " 19"}}}
            },
            "extensions": {"persistedQuery": {"version": 1, "sha256Hash": draw.hex(64)}},
        }
    )


def openapi(draw: Draw, source: str) -> str:
    properties = {
        name: {"type": "string", "description": f"The {name} of the account.", "example": example}
        for name, example in (
            ("api_key", "your_api_key"),
            ("access_token", "<token>"),
            ("password", "********"),
            ("client_secret", "${CLIENT_SECRET}"),
            ("id", draw.uuid()),
            ("sha", draw.hex(40)),
            ("next_token", draw.of(BASE64, 32)),
        )
    }
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": draw.words(3), "version": "1.0.0"},
            "paths": {
                f"/v1/{draw.words(1)}": {"get": {"operationId": "list", "security": [{"api_key": []}]}}
            },
            "components": {
                "schemas": {
                    "Account": {"type": "object", "required": ["password"], "properties": properties}
                },
                "securitySchemes": {
                    "api_key": {"type": "apiKey", "name": "X-Api-Key", "in": "header"},
                    "oauth": {
                        "type": "oauth2",
                        "flows": {"clientCredentials": {"tokenUrl": "https://a.example/token"}},
                    },
                },
            },
        },
        indent=2,
    )


def mcp_result(draw: Draw, source: str) -> str:
    listing = json.dumps(
        [
            {"path": f"src/{draw.words(1)}.py", "sha": draw.hex(40), "size": 812, "mode": "100644"}
            for _ in range(9)
        ]
    )
    return json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 7,
            "result": {
                "content": [{"type": "text", "text": source}, {"type": "text", "text": listing}],
                "structuredContent": {"sessionId": draw.uuid(), "progressToken": draw.of(BASE62, 24)},
                "isError": False,
            },
        }
    )


def chat(draw: Draw, source: str) -> str:
    shell = "Set `API_KEY` in the environment first:\n\n```sh\nexport API_KEY=<your key>\n```"
    code = f"{shell}\n\n```python\n{source}\n```"
    return json.dumps(
        {
            "id": f"chatcmpl-{draw.of(BASE62, 29)}",
            "object": "chat.completion",
            "created": 1764000000,
            "model": "model-large-2026-01-01",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": code,
                        "tool_calls": [
                            {
                                "id": f"call_{draw.of(BASE62, 24)}",
                                "type": "function",
                                "function": {
                                    "name": "read_file",
                                    "arguments": json.dumps({"path": "src/auth.py"}),
                                },
                            }
                        ],
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 812, "completion_tokens": 1024, "total_tokens": 1836},
            "system_fingerprint": f"fp_{draw.hex(10)}",
        }
    )


def chat_stream(draw: Draw, source: str) -> str:
    words = source.split(" ")[:120]
    name = f"chatcmpl-{draw.of(BASE62, 29)}"
    events = [
        json.dumps(
            {
                "id": name,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": f"{word} "}}],
            }
        )
        for word in words
    ]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])


def npm_lock(draw: Draw, source: str) -> str:
    packages = {
        f"node_modules/{draw.words(1)}-{number}": {
            "version": "7.24.1",
            "resolved": f"https://registry.example/@babel/x/-/x-7.24.1.tgz#{draw.hex(40)}",
            "integrity": f"sha512-{draw.of(BASE64, 86)}==",
            "license": "MIT",
        }
        for number in range(30)
    }
    return json.dumps({"name": "shop", "lockfileVersion": 3, "packages": packages}, indent=2)


def package_metadata(draw: Draw, source: str) -> str:
    name = draw.chance.choice(
        ("stripe", "twilio", "sendgrid", "datadog", "algoliasearch", "auth0-python", "sentry-sdk")
    )
    files = [
        {
            "filename": f"{name}-1.{n}.0.tar.gz",
            "hashes": {"sha256": draw.hex(64)},
            "url": f"https://files.example/packages/{draw.hex(2)}/{draw.hex(2)}/{draw.hex(60)}/{name}-1.{n}.0.tar.gz",
            "digests": {"blake2b_256": draw.hex(64), "md5": draw.hex(32), "sha256": draw.hex(64)},
        }
        for n in range(15)
    ]
    return json.dumps(
        {"info": {"name": name, "summary": draw.words(9), "description": source}, "urls": files}
    )


def image_in_json(draw: Draw, source: str) -> str:
    return json.dumps(
        {
            "created": 1764000000,
            "data": [{"b64_json": draw.of(BASE64, 6000), "revised_prompt": draw.words(12)}],
            "key": "image",
        }
    )


def source_map(draw: Draw, source: str) -> str:
    return json.dumps(
        {
            "version": 3,
            "file": "app.js",
            "sources": ["webpack://app/src/token.ts"],
            "sourcesContent": [source],
            "names": ["apiKey", "token", "secret", "password"],
            "mappings": ";".join(",".join(draw.of(BASE62, 4) for _ in range(30)) for _ in range(40)),
        }
    )


def jwks(draw: Draw, source: str) -> str:
    keys = [
        {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": draw.hex(40),
            "n": draw.of(BASE64URL, 342),
            "e": "AQAB",
            "x5t": draw.of(BASE64URL, 27),
            "x5c": [draw.of(BASE64, 1000)],
        }
        for _ in range(3)
    ]
    keys.append(
        {
            "kty": "EC",
            "crv": "P-256",
            "kid": draw.uuid(),
            "x": draw.of(BASE64URL, 43),
            "y": draw.of(BASE64URL, 43),
        }
    )
    return json.dumps({"keys": keys})


def translations(draw: Draw, source: str) -> str:
    return json.dumps(
        {
            "password": "Passwort",
            "password.hint": "Mindestens 12 Zeichen, 1 Ziffer",
            "login.password.placeholder": "Passwort eingeben",
            "api_key.label": "API-Schluessel",
            "token.expired": "Das Token ist abgelaufen (Fehler 0x80070005)",
            "secret": "Geheimnis",
            **{f"key.{draw.words(1)}.{n}": draw.words(6) for n in range(40)},
        }
    )


def registry_manifest(draw: Draw, source: str) -> str:
    layers = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": f"sha256:{draw.hex(64)}",
            "size": 9,
        }
        for _ in range(9)
    ]
    return json.dumps(
        {
            "schemaVersion": 2,
            "config": {"digest": f"sha256:{draw.hex(64)}"},
            "layers": layers,
            "annotations": {"org.opencontainers.image.revision": draw.hex(40)},
        }
    )


def objects(draw: Draw, source: str) -> str:
    """A listing of a store, with signed URLs, and what a cloud says of its resources."""
    items = [
        {
            "Key": f"builds/{draw.uuid()}/artifact.zip",
            "ETag": f'"{draw.hex(32)}"',
            "VersionId": draw.of(BASE62, 32),
            "KeyId": f"arn:aws:kms:eu-west-1:{draw.digits(12)}:key/{draw.uuid()}",
            "SecretArn": f"arn:aws:secretsmanager:eu-west-1:{draw.digits(12)}:secret:db-{draw.of(BASE62, 6)}",
            "ContinuationToken": draw.of(BASE64, 80),
            "uploadUrl": f"https://b.s3.example/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={draw.hex(64)}",
        }
        for _ in range(12)
    ]
    return json.dumps(
        {"Contents": items, "NextToken": draw.of(BASE64, 120), "NextContinuationToken": draw.of(BASE64, 60)}
    )
