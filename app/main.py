"""Wires the application together; ``app`` is what servers import."""

from __future__ import annotations

import asyncio
import multiprocessing
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from app import __version__
from app.config import MEMORY_STORAGE, Settings, load_settings, warn_of_misspelt_settings
from app.insights.drift import DriftMonitor
from app.insights.drift_families import DriftCollector
from app.limits.clients import ClientIdentifier, Role
from app.limits.local import LocalRateLimiter, RateLimiter
from app.logging_utils import RequestLog, configure_logging, log_loop_error
from app.metrics.service_metrics import Metrics
from app.metrics.shared_values import SharedValues
from app.models.artifacts import ManifestCheck, trust_any_manifest
from app.serving.admission import TICKET_UNITS, WAITING_BATCH_UNITS, WAITING_EXPLANATION_UNITS, Admission
from app.serving.answering import Answering
from app.serving.joint_prediction import JointPrediction
from app.serving.model_updates import ModelUpdates
from app.serving.registry import ModelRegistry, ModelState
from app.serving.version_summary import VersionShelf
from app.web.api import health, metrics, model, review, version
from app.web.api.classify import BATCH_MAX_BODY_BYTES, BATCH_PATH, CLASSIFY_PATH, classify_routes
from app.web.api.documentation import complete_openapi
from app.web.api.documentation_pages import documentation_routes
from app.web.api.explain import LONGEST_DESCRIPTION, LONGEST_TITLE, explain_route
from app.web.api.feedback import FEEDBACK_BATCH_MAX_BODY_BYTES, FEEDBACK_BATCH_PATH, feedback_routes
from app.web.api.hooks import HOOK_MAX_BODY_BYTES, HOOKS_PATH, hook_route
from app.web.api.promises import promise_routes
from app.web.api.tickets import erase_route
from app.web.application import Application
from app.web.console.page import refusal_page
from app.web.console.routes import console_routes
from app.web.console.session_memory import session_memory
from app.web.console.session_middleware import ConsoleSessionMiddleware
from app.web.console.sessions import Sessions
from app.web.console.sign_in import SIGN_IN_ATTEMPTS
from app.web.console.static_files import STATIC_PATH
from app.web.console.try_page import TRY_MAX_BODY_BYTES, TRY_PATH
from app.web.middleware.authentication import AuthenticationMiddleware
from app.web.middleware.body_limit import BodyLimitMiddleware
from app.web.middleware.cors import CrossOriginPolicy, PreflightMiddleware
from app.web.middleware.rate_limit import RateLimitMiddleware
from app.web.middleware.request_context import RequestContextMiddleware
from app.web.roles import LEAST_ROLES, has_reviewers, protected_paths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from app.connectors.connector import Connector
    from app.connectors.hub import ConnectorHub
    from app.feedback.loop import FeedbackLoop

EXEMPT_PATHS: Final = health.HEALTH_PATHS | {metrics.METRICS_PATH, STATIC_PATH, HOOKS_PATH}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; without ``settings`` they are read from the environment."""
    reads_environment = settings is None
    settings = settings or load_settings()
    request_log = RequestLog(configure_logging(settings.log_level, structured=settings.structured_logs))
    # Of several processes, none but the parent says it.
    if reads_environment and multiprocessing.parent_process() is None:
        warn_of_misspelt_settings()
    values = SharedValues(Path(settings.metrics_dir) if settings.metrics_dir else None)
    app_metrics, drift = Metrics(values), DriftMonitor(values, window=settings.drift_window)
    app_metrics.show(DriftCollector(drift))
    limiter, clients = _rate_limiter(settings, app_metrics), _clients(settings)
    hook = hook_route(clients=clients, limiter=limiter)
    app = Application(
        title="Ticket classifier",
        version=__version__,
        description="Priority and department of customer-support tickets, with calibrated confidence.",
        # The framework's own pages load scripts of another host.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        # The framework's own telemetry would put the messages of exceptions, and so tickets, into traces.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
        lifespan=_lifespan(settings, values, app_metrics, drift, limiter, clients),
        routes=[
            *_routes(settings),
            hook,
            _head_of(hook),
            *console_routes(
                clients=clients,
                attempts=LocalRateLimiter(limit=SIGN_IN_ATTEMPTS, window_seconds=60),
                keeps_text=settings.store_text != "none",
            ),
            *(documentation_routes() if settings.docs_enabled else ()),
        ],
        middleware=_middleware(settings, request_log, app_metrics, limiter, clients),
    )
    complete_openapi(app, protected_paths=protected_paths(_roles_with_keys(settings)))
    return app


def _rate_limiter(settings: Settings, app_metrics: Metrics) -> RateLimiter:
    limit, window_seconds = settings.rate_limit_requests, settings.rate_limit_window_sec
    local = LocalRateLimiter(limit=limit, window_seconds=window_seconds)
    app_metrics.rate_limit_storage_is("memory" if settings.rate_limit_storage == MEMORY_STORAGE else "redis")
    if settings.rate_limit_storage == MEMORY_STORAGE:
        return local
    # Only those who share limits need the package, and wait for its import.
    from app.limits.redis import RedisRateLimiter  # noqa: PLC0415

    return RedisRateLimiter(
        settings.rate_limit_storage,
        limit=limit,
        window_seconds=window_seconds,
        local=local,
        on_change=lambda degraded: app_metrics.rate_limit_storage_changed(degraded=degraded),
    )


def _clients(settings: Settings) -> ClientIdentifier:
    return ClientIdentifier(
        key_hashes=settings.api_keys,
        reviewers=settings.reviewers,
        admin_key_hashes=settings.admin_api_keys,
        trusted_proxies=settings.trusted_proxies,
    )


def _lifespan(
    settings: Settings,
    values: SharedValues,
    app_metrics: Metrics,
    drift: DriftMonitor,
    limiter: RateLimiter,
    clients: ClientIdentifier,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Any]]:
    def show(state: ModelState) -> None:
        model = state.model
        app_metrics.model_changed(None if model is None else model.version, degraded=state.degraded)
        drift.use(None if model is None else model.classifier.reference)

    check_manifest = _manifest_check(settings)
    connectors = _connectors(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        asyncio.get_running_loop().set_exception_handler(log_loop_error)
        registry = ModelRegistry(
            Path(settings.models_base_dir),
            pinned_version=settings.pinned_version,
            check_manifest=check_manifest,
            shares=settings.label_shares,
            on_change=show,
            on_reload=app_metrics.model_reloaded,
        )
        registry.load()
        loop = _feedback_loop(settings, registry, values, app_metrics)
        if loop is not None:
            await loop.start()
        keeper = None if loop is None else loop.keeper
        store = None if loop is None else loop.store
        answering = Answering(
            withdrawn={} if keeper is None else keeper.withdrawn,
            metrics=app_metrics,
            drift=drift,
            recorder=None if loop is None else loop.recorder,
        )
        directory = Path(settings.metrics_dir) if settings.metrics_dir else None
        hub = _connector_hub(settings, connectors, registry, loop, answering)
        updates = ModelUpdates(registry)
        await updates.start()
        if hub is not None:
            await hub.start()
        await limiter.start()
        try:
            yield {
                "registry": registry,
                "model_updates": updates,
                "versions": VersionShelf(Path(settings.models_base_dir), check_manifest=check_manifest),
                "metrics": app_metrics,
                "store": store,
                "connectors": hub,
                "sessions": Sessions(session_memory(store, directory), clients.with_role(Role.REVIEWER)),
                "answering": answering,
                "promises": keeper,
                "withdrawn": answering.withdrawn,
                "drift": drift,
                "joint_prediction": JointPrediction(app_metrics.scored),
                "ticket_admission": Admission(
                    max_running_units=TICKET_UNITS, max_waiting_units=settings.max_pending_requests
                ),
                # One at a time: more threads would only slow each other down.
                "batch_admission": Admission(max_running_units=1, max_waiting_units=WAITING_BATCH_UNITS),
                "explanation_admission": Admission(max_running_units=1, max_waiting_units=WAITING_EXPLANATION_UNITS),
            }
        finally:
            if hub is not None:
                await hub.close()
            await limiter.close()
            await updates.close()
            if loop is not None:
                await loop.close()

    return lifespan


def _feedback_loop(
    settings: Settings, registry: ModelRegistry, values: SharedValues, app_metrics: Metrics
) -> FeedbackLoop | None:
    if settings.store_url == "off":
        return None
    # Only those who keep something need the packages, and wait for their import.
    from app.feedback.loop import FeedbackLoop, LoopOptions  # noqa: PLC0415
    from app.store.place import is_usable_by_default  # noqa: PLC0415

    if "store_url" not in settings.model_fields_set and not is_usable_by_default(settings.store_url):
        return None
    options = LoopOptions(
        store_url=settings.store_url,
        kept_text=settings.store_text,
        retention_days=settings.store_retention_days,
        audit_share=settings.audit_share,
        promise_alpha=settings.promise_alpha,
        promise_keeper=settings.promise_keeper,
    )
    return FeedbackLoop(
        options,
        serving=lambda: None if registry.current is None else registry.current.classifier,
        metrics=app_metrics,
        values=values,
    )


def _connectors(settings: Settings) -> tuple[Connector, ...]:
    if settings.connectors_file is None:
        return ()
    # Only those who connect a helpdesk need the package, and wait for its import.
    from app.connectors.connector_file import connectors_or_exit  # noqa: PLC0415

    return connectors_or_exit(settings.connectors_file)


def _connector_hub(
    settings: Settings,
    connectors: tuple[Connector, ...],
    registry: ModelRegistry,
    loop: FeedbackLoop | None,
    answering: Answering,
) -> ConnectorHub | None:
    if not connectors or loop is None:
        return None
    from app.connectors.classifying import TicketDesk  # noqa: PLC0415 - as above
    from app.connectors.hub import ConnectorHub  # noqa: PLC0415

    desk = TicketDesk(
        serving=lambda: registry.current,
        answering=answering,
        recorder=loop.recorder,
        keeps_text=settings.store_text != "none",
        max_title=LONGEST_TITLE,
        max_description=LONGEST_DESCRIPTION,
    )
    return ConnectorHub(connectors, store=loop.store, desk=desk, metrics=answering.metrics)


def _manifest_check(settings: Settings) -> ManifestCheck:
    if settings.model_public_key is None:
        return trust_any_manifest
    # Only those who sign their models need the package, and wait for its import.
    from app.serving.signature import SignedManifestCheck  # noqa: PLC0415

    return SignedManifestCheck(settings.model_public_key)


def _routes(settings: Settings) -> list[APIRoute]:
    classify = classify_routes(batch_max_tickets=settings.batch_max_tickets, needs_api_key=bool(settings.api_keys))
    routers = (health.router, version.router, model.router, review.router, metrics.router)
    others = [
        *promise_routes(needs_api_key=bool(settings.api_keys)),
        *(route for router in routers for route in router.routes if isinstance(route, APIRoute)),
    ]
    heads = [_head_of(route) for route in others if "GET" in (route.methods or ())]
    feedback = feedback_routes(keeps_text=settings.store_text != "none", needs_api_key=bool(settings.api_keys))
    explain = explain_route(needs_api_key=bool(settings.api_keys))
    return [*classify, explain, *feedback, erase_route, *others, *heads]


def _head_of(route: APIRoute) -> APIRoute:
    head = copy(route)
    head.methods, head.include_in_schema = {"HEAD"}, False
    return head


def _middleware(
    settings: Settings,
    request_log: RequestLog,
    app_metrics: Metrics,
    limiter: RateLimiter,
    clients: ClientIdentifier,
) -> list[Middleware]:
    """Return what every request passes, outermost first."""
    policy = CrossOriginPolicy(settings.cors_allow_origins) if settings.cors_allow_origins else None
    return [
        Middleware(
            RequestContextMiddleware,
            request_log=request_log,
            metrics=app_metrics,
            admitted_paths=frozenset({CLASSIFY_PATH}),
            cross_origin=policy,
        ),
        *([] if policy is None else [Middleware(PreflightMiddleware, policy=policy)]),
        Middleware(ConsoleSessionMiddleware, is_for_this_machine=not has_reviewers(_roles_with_keys(settings))),
        Middleware(
            RateLimitMiddleware,
            limiter=limiter,
            clients=clients,
            limit=settings.rate_limit_requests,
            window_seconds=settings.rate_limit_window_sec,
            exempt_paths=EXEMPT_PATHS,
        ),
        Middleware(
            AuthenticationMiddleware,
            least_roles=LEAST_ROLES,
            roles_with_keys=_roles_with_keys(settings),
            refusal_page=refusal_page,
        ),
        Middleware(
            BodyLimitMiddleware,
            max_bytes=settings.max_body_bytes,
            max_bytes_by_path={
                BATCH_PATH: BATCH_MAX_BODY_BYTES,
                HOOKS_PATH: HOOK_MAX_BODY_BYTES,
                FEEDBACK_BATCH_PATH: FEEDBACK_BATCH_MAX_BODY_BYTES,
                TRY_PATH: TRY_MAX_BODY_BYTES,
            },
        ),
    ]


def _roles_with_keys(settings: Settings) -> frozenset[Role]:
    keys = {
        Role.CALLER: settings.api_keys,
        Role.REVIEWER: settings.reviewer_api_keys,
        Role.ADMIN: settings.admin_api_keys,
    }
    return frozenset(role for role, of_role in keys.items() if of_role)


app = create_app()
