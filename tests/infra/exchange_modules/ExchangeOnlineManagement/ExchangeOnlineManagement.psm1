# Stands in for the module ExchangeOnlineManagement before sign-in. As there, a sign-in makes a module of the cmdlets
# that the roles of the account allow, by default all, and imports it into the session.

function Connect-ExchangeOnline {
    [CmdletBinding()] param([switch] $ShowBanner, [string] $UserPrincipalName)
    $tenant = Get-Content -LiteralPath $env:EXCHANGE_STATE -Raw | ConvertFrom-Json
    if ($tenant.PSObject.Properties['refusesSignIn']) { throw $tenant.refusesSignIn }
    $made = New-Item -ItemType Directory -Path "$env:EXCHANGE_STATE.$([guid]::NewGuid())"
    $from = Join-Path $PSScriptRoot '../../exchange_stub.psm1'
    Copy-Item -LiteralPath $from -Destination (Join-Path $made.FullName 'tmpEXO.psm1')
    $allowed = if ($tenant.PSObject.Properties['allowed']) { $tenant.allowed } else { '*' }
    Import-Module (Join-Path $made.FullName 'tmpEXO.psm1') -Global -Function $allowed
}

Export-ModuleMember -Function Connect-ExchangeOnline
