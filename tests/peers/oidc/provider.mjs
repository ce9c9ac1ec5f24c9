// An OpenID provider over TLS for system tests, on npm's oidc-provider. Settings: one JSON object as the argument.
// It says {"issuer", "port"} on its first output line; after that it obeys one JSON object per input line:
//   {"fail": {"path": "/token", "status": 503, "times": 2}}   the next requests for that path fail
//   {"count": "/token"}                                        answers {"count": n} since the start
//   {"issued": true}                                           answers {"issued": […]}: all tokens and codes
// Loopback only. The person's part is played over HTTP (openid_provider.py).
import fs from 'node:fs';
import https from 'node:https';
import readline from 'node:readline';
import { createRequire, register } from 'node:module';
import * as crypto from 'node:crypto';

// oidc-provider wants Node 22; Debian 12 and Ubuntu 24.04 have 18, which lacks just these three.
globalThis.crypto ??= crypto.webcrypto;
if (!crypto.hash) register('./old_node_hooks.mjs', import.meta.url);
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);

const settings = JSON.parse(process.argv[2]);
// the packages are installed beside the test run, not beside this file
const require = createRequire(settings.modules + '/');
const { Provider } = await import(require.resolve('oidc-provider'));

const clients = [settings.client ?? {
  client_id: 'beamside',
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/cb'],
  scope: 'openid profile email offline_access ssh',
}];
clients.push({ ...clients[0], client_id: 'briefly', scope: 'openid profile email ssh' });   // may not stay signed in

const failures = [];
const counts = new Map();
const issued = [];
let callback = null;

const server = https.createServer({ key: fs.readFileSync(settings.key), cert: fs.readFileSync(settings.certificate) }, (req, res) => {
  const path = new URL(req.url, 'https://x').pathname.slice(settings.prefix.length) || '/';
  counts.set(path, (counts.get(path) ?? 0) + 1);
  const failure = failures.find((f) => f.path === path && f.times > 0);
  if (failure) {
    failure.times -= 1;
    res.writeHead(failure.status, { 'content-type': 'text/html' });
    res.end('<h1>Try later</h1>');
    return;
  }
  req.headers['x-forwarded-proto'] = 'https';
  if (settings.prefix && req.url.startsWith(settings.prefix)) {
    req.originalUrl = req.url;
    req.url = req.url.slice(settings.prefix.length) || '/';
  }
  callback(req, res);
});

server.listen(settings.port ?? 0, '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = `https://127.0.0.1:${port}${settings.prefix}`;
  const provider = new Provider(issuer, {
    clients,
    scopes: ['openid', 'offline_access', 'ssh'],
    claims: { openid: ['sub'], email: ['email'], profile: ['name', 'preferred_username'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['test'] },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, name: `${id} Example`, preferred_username: id, email: `${id}@light.example` }),
    }),
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true, mask: '****-****' },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: !settings.opaque,   // without, access tokens are opaque, and are of use at /me
        defaultResource: () => 'urn:facility:ssh-ca',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'ssh', audience: 'ssh-ca', accessTokenTTL: settings.access_token_s, accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    rotateRefreshToken: true,
    ttl: {
      DeviceCode: settings.device_code_s, AccessToken: settings.access_token_s, IdToken: 600, RefreshToken: 86400,
      Session: 86400, Grant: 86400, Interaction: 3600,
    },
  });
  provider.proxy = true;
  provider.use(async (ctx, next) => {   // the library leaves the interval at the default of five seconds
    await next();
    for (const name of ['access_token', 'refresh_token', 'id_token', 'device_code']) {
      if (ctx.body?.[name]) issued.push(ctx.body[name]);
    }
    const place = ctx.response.get('location');
    const brought = place && new URL(place, issuer).searchParams.get('code');
    if (brought) issued.push(brought);
    if (ctx.oidc?.route === 'device_authorization' && ctx.body?.device_code) {
      ctx.body.interval = settings.interval_s;
      if (settings.code_said_s) ctx.body.expires_in = settings.code_said_s;
    }
  });
  callback = provider.callback();
  process.stdout.write(JSON.stringify({ issuer, port }) + '\n');
});

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line);
  if (order.fail) failures.push(order.fail);
  if (order.issued) process.stdout.write(JSON.stringify({ issued }) + '\n');
  else process.stdout.write(JSON.stringify({ count: counts.get(order.count) ?? 0 }) + '\n');
}).on('close', () => process.exit(0));   // the test is gone
