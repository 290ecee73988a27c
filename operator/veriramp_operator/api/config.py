"""The operator's configuration file: endpoints, worker profiles and ceilings, which a rollout can only name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from veriramp_operator.api.base import Seconds
from veriramp_operator.api.errors import ConfigurationError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Endpoint(_Strict):
    """One Prometheus-compatible HTTP API. ``external_labels`` are those its alerts carry beside the rule's own."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    scrape_interval: Seconds = 15.0
    external_labels: dict[str, str] = Field(default_factory=dict)


class Profile(_Strict):
    """What a worker of this name runs. ``port`` serves /livez, /readyz and /metrics.

    Each key of the Secrets in ``env_from_secrets``, in the rollout's namespace, is a variable of the worker. Each key
    of those in ``files_from_secrets`` is a file, ``/etc/veriramp/secrets/<secret>/<key>``, that follows its changes.
    """

    image: Annotated[str, Field(min_length=1)]
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    env_from_secrets: tuple[str, ...] = ()
    files_from_secrets: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")], ...] = ()
    resources: dict[str, Any] = Field(default_factory=dict)
    service_account_name: str = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    termination_grace_period_seconds: Annotated[int, Field(ge=0)] = 30


class Limits(_Strict):
    """Ceilings above which a rollout stalls; nothing is clamped."""

    max_ranking_weight: Annotated[float, Field(ge=0, le=1)] = 0.15


class FlagServer(_Strict):
    """Where workers find the flag servers, and where the operator finds their pods."""

    service: str = "veriramp-flagserver"
    namespace: str = "veriramp-system"
    grpc_port: Annotated[int, Field(ge=1, le=65535)] = 8015
    http_port: Annotated[int, Field(ge=1, le=65535)] = 8016
    pod_selector: str = "app.kubernetes.io/component=flagserver"


class OperatorConfig(_Strict):
    """The whole file."""

    endpoints: dict[str, Endpoint] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    limits: Limits = Limits()
    flag_server: FlagServer = FlagServer()
    allowed_image_prefixes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: object, source: str) -> OperatorConfig:
        """Validate the file's content.

        Raises ConfigurationError that names the file, each wrong field, its value and what is expected.
        """
        try:
            config = cls.model_validate(raw if raw is not None else {})
        except ValidationError as error:
            lines = [
                f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']} (found {item['input']!r})"
                for item in error.errors()
            ]
            raise ConfigurationError(f"{source}: " + "; ".join(lines)) from error
        for name, profile in config.profiles.items():
            if not config.allows_image(profile.image):
                raise ConfigurationError(
                    f"{source}: profiles.{name}.image: {profile.image!r} begins with none of allowedImagePrefixes "
                    f"{list(config.allowed_image_prefixes)}; add its prefix there or use another image"
                )
        return config

    def allows_image(self, image: str) -> bool:
        """True when the image is on the allow list (an empty list allows all)."""
        return not self.allowed_image_prefixes or image.startswith(self.allowed_image_prefixes)
