"""Configuration of the Moonshot peers: FreeRADIUS, RadSec, Shibboleth's resolver, sshd. Our own text and licence.

Each function gives the content of one file; ``tests.peers.moonshot`` writes and starts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

UDP_SECRET = "test-radius-secret"


@dataclass(frozen=True)
class Member:
    """Somebody of the home institution. ``login``: the local account of a site; ``inner``: GTC or MSCHAPv2."""

    identity: str
    password: str = field(repr=False)   # a traceback with all its variables is looked at
    login: str = ""
    inner: str = "GTC"
    suspended: bool = False


def users(members: tuple[Member, ...]) -> str:
    lines = []
    for member in members:
        check = f'EAP-Type := {member.inner}, Cleartext-Password := "{member.password}"'
        if member.suspended:
            lines += [f"{member.identity}\tAuth-Type := Reject", '\tReply-Message := "Your account is suspended"']
        else:
            lines += [f"{member.identity}\t{check}", f'\tFilter-Id := "{member.login or "nobody"}"']
    return "\n".join(lines) + "\n"


def radiusd(folder: Path, udp_port: int, radsec_port: int) -> str:
    """FreeRADIUS as a home institution and its facility's proxy in one: EAP-TTLS, inner GTC and MSCHAPv2."""
    raddb = folder / "raddb"
    tls = f"""
		private_key_file = {folder}/certs/radius.key
		certificate_file = {folder}/certs/radius-chain.pem
		ca_file = {folder}/certs/ca.pem
		tls_min_version = "1.2"
		tls_max_version = "1.2"
		ecdh_curve = ""
"""
    return f"""prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = {raddb}
confdir = {raddb}
logdir = {folder}/log
run_dir = {folder}/run
certdir = {folder}/certs
pidfile = {folder}/run/radiusd.pid
max_request_time = 30
cleanup_delay = 5
hostname_lookups = no
proxy_requests = no
log {{
	destination = files
	file = {folder}/log/radius.log
	auth = yes
}}
security {{
	reject_delay = 0
	status_server = yes
}}
client udp {{
	ipaddr = 127.0.0.1
	secret = {UDP_SECRET}
	require_message_authenticator = yes
}}
clients radsec {{
	client tls {{
		ipaddr = 127.0.0.1
		proto = tls
		secret = radsec
		limit {{
			max_connections = 0
			lifetime = 0
			idle_timeout = 60
		}}
	}}
}}
thread pool {{
	start_servers = 1
	max_servers = 4
	min_spare_servers = 1
	max_spare_servers = 2
	max_requests_per_server = 0
}}
modules {{
	pap {{
	}}
	mschap {{
	}}
	files {{
		filename = {raddb}/users
	}}
	always handled {{
		rcode = handled
	}}
	always reject {{
		rcode = reject
	}}
	eap outer-eap {{
		default_eap_type = ttls
		timer_expire = 60
		tls-config tls-facility {{{tls}
		}}
		ttls {{
			tls = tls-facility
			default_eap_type = gtc
			copy_request_to_tunnel = no
			use_tunneled_reply = no
			virtual_server = "inner"
		}}
	}}
	eap inner-eap {{
		default_eap_type = gtc
		timer_expire = 60
		gtc {{
			auth_type = PAP
		}}
		mschapv2 {{
		}}
	}}
}}
server outer {{
	listen {{
		type = auth
		ipaddr = 127.0.0.1
		port = {udp_port}
	}}
	listen {{
		type = auth
		ipaddr = 127.0.0.1
		port = {radsec_port}
		proto = tcp
		limit {{
			max_connections = 0
			lifetime = 0
			idle_timeout = 60
		}}
		clients = radsec
		tls {{{tls}
			require_client_cert = yes
		}}
	}}
	authorize {{
		if (&User-Name =~ /@unroutable\\.example$/) {{
			update reply {{
				&Error-Cause := Proxy-Request-Not-Routable
			}}
			reject
		}}
		if (&User-Name =~ /@refused\\.example$/) {{
			reject
		}}
		outer-eap {{
			ok = return
		}}
	}}
	authenticate {{
		outer-eap
	}}
	post-auth {{
		if (&session-state:User-Name) {{
			update reply {{
				&User-Name := &session-state:User-Name
				&Filter-Id := &session-state:Filter-Id
			}}
		}}
		Post-Auth-Type REJECT {{
			outer-eap
		}}
	}}
}}
server inner {{
	authorize {{
		files
		inner-eap {{
			ok = return
		}}
		mschap
		pap
	}}
	authenticate {{
		Auth-Type PAP {{
			pap
		}}
		Auth-Type MS-CHAP {{
			mschap
		}}
		inner-eap
	}}
	post-auth {{
		update outer.session-state {{
			&User-Name := &User-Name
			&Filter-Id := &reply:Filter-Id
		}}
	}}
}}
server channel_bindings {{
	authorize {{
		if (&GSS-Acceptor-Service-Name && (&outer.request:GSS-Acceptor-Service-Name != &GSS-Acceptor-Service-Name)) {{
			reject
		}}
		if (&GSS-Acceptor-Host-Name && (&outer.request:GSS-Acceptor-Host-Name != &GSS-Acceptor-Host-Name)) {{
			reject
		}}
		update control {{
			&Chbind-Response-Code := success
		}}
		update reply {{
			&GSS-Acceptor-Service-Name = &GSS-Acceptor-Service-Name
			&GSS-Acceptor-Host-Name = &GSS-Acceptor-Host-Name
			&GSS-Acceptor-Realm-Name = &GSS-Acceptor-Realm-Name
		}}
		handled
	}}
}}
"""


def radsec(folder: Path, radsec_port: int, certificate: str = "acceptor") -> str:
    """radsec.conf of a facility's SSH server, over RadSec with mutual TLS."""
    return f"""realm gss-eap {{
	type = "TLS"
	timeout = 3
	retries = 1
	cacertfile = "{folder}/certs/ca.pem"
	certfile = "{folder}/certs/{certificate}.pem"
	certkeyfile = "{folder}/certs/{certificate}.key"
	disable_hostname_check = yes
	server {{
		hostname = "127.0.0.1"
		service = "{radsec_port}"
		secret = "radsec"
	}}
}}
"""


def radius_over_udp(udp_port: int) -> str:
    """The same over plain RADIUS."""
    return f"""realm gss-eap {{
	type = "UDP"
	timeout = 3
	retries = 1
	server {{
		hostname = "127.0.0.1"
		service = "{udp_port}"
		secret = "{UDP_SECRET}"
	}}
}}
"""


def shibboleth(folder: Path) -> dict[str, str]:
    """The resolver inside the mechanism, quiet, mapping RADIUS' Filter-Id to ``local-login-user``."""
    shib = folder / "shib"
    return {
        "shibboleth2.xml": f"""<SPConfig xmlns="urn:mace:shibboleth:3.0:native:sp:config" clockSkew="180">
  <OutOfProcess><Extensions><Library path="plugins.so" fatal="true"/></Extensions></OutOfProcess>
  <ApplicationDefaults entityID="https://facility.example/sp">
    <Sessions handlerSSL="false"/>
    <Errors/>
    <AttributeExtractor type="GSSAPI" validate="false" reloadChanges="false" path="{shib}/attribute-map.xml"/>
  </ApplicationDefaults>
  <SecurityPolicyProvider type="XML" validate="false" reloadChanges="false" path="/etc/shibboleth/security-policy.xml"/>
</SPConfig>
""",
        "attribute-map.xml": """<Attributes xmlns="urn:mace:shibboleth:2.0:attribute-map">
  <GSSAPIAttribute name="urn:ietf:params:gss:radius-attribute 11" id="local-login-user"/>
</Attributes>
""",
        "quiet.logger": f"""log4j.rootCategory=ERROR, quiet
log4j.appender.quiet=org.apache.log4j.FileAppender
log4j.appender.quiet.fileName={folder}/log/shib.log
log4j.appender.quiet.layout=org.apache.log4j.PatternLayout
log4j.appender.quiet.layout.ConversionPattern=%d %p %c: %m%n
"""}


def sshd_environment(folder: Path) -> dict[str, str]:
    """The mechanism's copy, and what keeps its resolver from writing to users' output and leaving processes behind."""
    inline = f"<SPConfig type='XML' path='{folder}/shib/shibboleth2.xml' validate='1' reloadChanges='false'/>"
    return {"GSS_MECH_CONFIG": f"{folder}/mech", "SHIBSP_CONFIG": inline,
            "SHIBSP_LOGGING": f"{folder}/shib/quiet.logger", "PATH": "/usr/bin:/bin:/usr/sbin"}


def sshd_config(folder: Path, port: int, options: tuple[str, ...]) -> str:
    """An SSH server that takes Moonshot and nothing else, unless ``options`` (which win) say so."""
    return "\n".join((
        *options, f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/ssh/host_key", "PidFile none",
        "GSSAPIAuthentication yes", "GSSAPIStrictAcceptorCheck no", "GSSAPIKeyExchange no", "PasswordAuthentication no",
        "PubkeyAuthentication no", "KbdInteractiveAuthentication no", "LogLevel VERBOSE", "MaxStartups 100:30:200",
        "PrintMotd no", "Subsystem sftp internal-sftp", ""))
