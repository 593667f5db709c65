// A real identity provider for the tests: the certified oidc-provider, with its own pages for signing in and consent.
// Whoever signs in there is who they say, in the group "oncall". Arguments: its port, and where people come back to.
import Provider from "oidc-provider";

const [port, callback] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "muster",
    client_secret: "the client's secret",
    redirect_uris: [callback],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_basic",
  }],
  pkce: { required: () => true, methods: ["S256"] },
  scopes: ["openid", "profile", "groups"],
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  cookies: { keys: ["only for a test"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: id, groups: ["oncall"] }),
  }),
});
provider.listen(Number(port), "127.0.0.1");
