// Hooks for module.register: what oidc-provider imports as node:crypto is old_node_crypto.mjs.
export async function resolve(specifier, context, next) {
  if (specifier === 'node:crypto' && context.parentURL?.includes('/oidc-provider/')) {
    return { url: new URL('./old_node_crypto.mjs', import.meta.url).href, shortCircuit: true };
  }
  return next(specifier, context);
}
