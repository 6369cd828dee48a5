"""Microsoft Graph behind the ports; the only package that knows Graph's addresses and headers."""
