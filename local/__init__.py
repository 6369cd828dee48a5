"""What runs beside the app and is never deployed with it.

Stand-ins for Azure and Microsoft Graph on a laptop, for development and tests only; and what builds the deployment
package and publishes it.
"""
