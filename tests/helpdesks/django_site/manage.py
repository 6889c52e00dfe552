"""The two commands of the site: ``prepare`` makes its database, ``serve PORT`` answers on the loopback address."""

import os
import sys

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application


def prepare() -> None:
    """Make a database with two people, a program's user, each with a token, and four queues."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - models can be imported when Django is set up
    from helpdesk.models import Queue  # noqa: PLC0415
    from rest_framework.authtoken.models import Token  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    for name in ("ada", "grace", "classifier"):
        user = User.objects.create_user(name, f"{name}@helpdesk.example", f"password of {name}", is_staff=True)
        Token.objects.create(user=user, key=f"token-of-{name}")
    for title in ("Inbox", "Tech Support", "Billing", "Sales"):
        Queue.objects.create(title=title, slug=title.lower().replace(" ", "-"), allow_public_submission=True)


def serve(port: int) -> None:
    from waitress import serve as serve_application  # noqa: PLC0415 - preparing needs no server

    serve_application(get_wsgi_application(), host="127.0.0.1", port=port, threads=8)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    match sys.argv[1:]:
        case ["prepare"]:
            prepare()
        case ["serve", port]:
            serve(int(port))
        case _:
            sys.exit("usage: manage.py prepare | serve PORT")
