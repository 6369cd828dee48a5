// The app's identity: one that outlives the app, so that its rights in Graph and Exchange survive a removal of the app.

@description('Azure region.')
param location string

@description('Tags of the identity.')
param tags { *: string }

@description('Name of the identity, as Entra and Exchange show it.')
@minLength(3)
@maxLength(128)
param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Client (application) id.')
output clientId string = identity.properties.clientId

@description('Object id of the service principal.')
output principalId string = identity.properties.principalId
