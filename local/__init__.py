"""Stand-ins for Azure and Microsoft Graph on a laptop: for development and tests, never for production."""
