// A real OpenID Connect provider for the tests of logging in with an account elsewhere. Everybody who comes is logged in
// at once, as who `login_hint` says; `mfa-...` with more than a password.
//   node provider.mjs PATH-OF-OIDC-PROVIDER PORT REDIRECT-URL
import http from 'node:http';
const [module, port, redirect] = process.argv.slice(2);
const { default: Provider } = await import(module);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'wardbook', client_secret: 'a-secret-of-the-tests', redirect_uris: [redirect] }],
  claims: { openid: ['sub', 'amr'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true, methods: ['S256'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
});
const answer = provider.callback();
http.createServer(async (request, response) => {
  if (!request.url.startsWith('/interaction/')) return answer(request, response);
  const { params } = await provider.interactionDetails(request, response);
  const accountId = params.login_hint;
  const amr = accountId.startsWith('mfa-') ? ['pwd', 'mfa'] : ['pwd'];
  await provider.interactionFinished(request, response, { login: { accountId, amr } }, { mergeWithLastSubmission: false });
}).listen(Number(port), '127.0.0.1');
