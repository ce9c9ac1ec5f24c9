"""A facility as its profile tells it (docs/site-profile.md). Frozen values; reading is remote.profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

LOCAL_NAME = "local"


class IdentityMethod(Enum):
    OIDC = "oidc"
    MOONSHOT = "moonshot"
    NONE = "none"


@dataclass(frozen=True)
class MoonshotSettings:
    """How to know the federation's RADIUS server: a CA with the server's name, or pins of its certificate.

    Attributes:
        mechanism: dotted OID of the GSS mechanism (…17: AES-128, …18: AES-256).
        ca: PEM text of the CA that signed the RADIUS server's certificate.
        subject: the name that certificate must carry, if ``ca`` is used.
        pins: SHA-256 of the certificate, hexadecimal; any of them will do.
    """

    mechanism: str = "1.3.6.1.5.5.15.1.1.17"
    ca: str = ""
    subject: str = ""
    pins: tuple[str, ...] = ()


@dataclass(frozen=True)
class IdentitySettings:
    """How to sign in. ``redirect_port`` (0: any), ``redirect_host`` ("127.0.0.1" or "localhost") and ``redirect_path``
    ("" or "/…"): where the browser brings the answer, for providers that compare it literally.
    """

    method: IdentityMethod = IdentityMethod.NONE
    issuer: str = ""
    client_id: str = "beamside"
    scopes: tuple[str, ...] = ("email",)
    audience: str = ""
    redirect_port: int = 0
    redirect_host: str = "127.0.0.1"
    redirect_path: str = "/cb"
    idp_hint: str = ""
    ca_file: str = ""
    moonshot: MoonshotSettings = MoonshotSettings()


@dataclass(frozen=True)
class CertificateAuthority:
    kind: str = ""
    url: str = ""
    ca_file: str = ""


@dataclass(frozen=True)
class SshSettings:
    host: str = ""
    port: int = 22
    user: str = ""
    methods: tuple[str, ...] = ("certificate", "agent", "key", "keyboard-interactive")
    host_keys: tuple[str, ...] = ()
    certificate_authority: CertificateAuthority | None = None
    hops: tuple[SshSettings, ...] = ()
    hold_session: bool = False


@dataclass(frozen=True)
class AgentSettings:
    python: tuple[str, ...] = ("python3",)
    run: str = "login"
    workers: int = 2
    threads: int = 2
    memory_mb: int = 1024
    time_min: int = 60
    cores: int = 4
    cache: str = "~/.cache/beamside"


@dataclass(frozen=True)
class BatchSettings:
    """``trial_partition``: where small jobs start at once (interactive work); empty: as others.

    Grid Engine: ``parallel_environment`` gives cores of one host, ``memory_resource`` memory for each of them (empty:
    not asked for), ``gpu_resource`` GPUs of a job. Direct execution: ``cpus`` of the machine for jobs, 0: all.
    """

    system: str = ""
    partitions: tuple[str, ...] = ()
    account: str = ""
    poll_s: float = 15
    login_shell: bool = False
    trial_partition: str = ""
    parallel_environment: str = "smp"
    memory_resource: str = "h_vmem"
    gpu_resource: str = "gpu"
    cpus: int = 0


@dataclass(frozen=True)
class DataSettings:
    roots: tuple[str, ...] = ()
    raw: str = "RAW_DATA"
    processed: str = "PROCESSED_DATA"
    confidential: bool = False


@dataclass(frozen=True)
class SoftwareSettings:
    """``containers``: empty: not known. ``images``: container images by name; ``binds``: folders that containers see
    besides those of the job.
    """

    setup: tuple[str, ...] = ()
    containers: str = ""
    binds: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    environments: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SiteProfile:
    """One facility. ``name`` is what TARGETs begin with; the built-in site ``local`` has no host, nor have facilities
    of which none is known: it is asked.

    ``verified``: where the profile as a whole comes from; ``sources``: where single values do ("ssh.host" → "doc: …",
    "third-party: …", "unverified"). What is not in ``sources`` is as trustworthy as ``verified`` says.
    """

    name: str
    title: str = ""
    verified: str = ""
    contact: str = ""
    colour: str = "#1f77b4"
    identity: IdentitySettings = IdentitySettings()
    ssh: SshSettings = SshSettings()
    agent: AgentSettings = AgentSettings()
    batch: BatchSettings = BatchSettings()
    data: DataSettings = DataSettings()
    software: SoftwareSettings = SoftwareSettings()
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """True for this computer: no SSH, the agent is a local subprocess."""
        return self.name == LOCAL_NAME

    @property
    def needs_host(self) -> bool:
        """Whether it cannot be connected to before somebody says on which host it is."""
        return not self.is_local and not self.ssh.host

    @property
    def label(self) -> str:
        """For people."""
        return self.title or self.name


LOCAL = SiteProfile(name=LOCAL_NAME, title="This computer", verified="built in", colour="#7f7f7f")
