// The function app on Flex Consumption, and every setting it starts with. What is held: the app has no key of anything;
// whatever it reaches, it reaches as its identity.

@description('Azure region.')
param location string

@description('Tags of plan and app.')
param tags { *: string }

@description('Name of the app. The host takes its id from the first 32 characters.')
@minLength(2)
@maxLength(60)
param name string

@description('Name of the plan, which holds this app alone: Flex Consumption allows no second one.')
@minLength(1)
@maxLength(60)
param planName string

@description('The app\'s user-assigned identity.')
param identityName string

@description('Storage account of the Functions host.')
param hostStorageName string

@description('Container of the host\'s account that the code is deployed to.')
param packageContainerName string

@description('Storage account of the data.')
param dataStorageName string

@description('Application Insights component that the app writes to.')
param applicationInsightsName string

@description('What the app\'s parser reads, by the names it has there.')
param submissionSettings { *: string }

@description('How to know the tenant\'s phishing simulations.')
@secure()
param simulationMarks string

@description('Python version.')
param pythonVersion '3.11' | '3.12' | '3.13'

@description('Memory of one instance, in MB.')
param instanceMemoryMB 512 | 2048 | 4096

@description('Most instances of each function.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('Whether the publishing endpoint answers from the internet.')
param publishingAccess 'Enabled' | 'Disabled'

@description('Subnet that the app reaches storage through; empty for none.')
param subnetId string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

@description('End of every storage address in this cloud.')
var storageSuffix = environment().suffixes.storage

@description('The host\'s settings, and the data account\'s. Addresses, not `__accountName`: of two ways that stand side by side the host may take the wrong one.')
var platformSettings = {
  AzureWebJobsStorage__blobServiceUri: 'https://${hostStorageName}.blob.${storageSuffix}'
  AzureWebJobsStorage__queueServiceUri: 'https://${hostStorageName}.queue.${storageSuffix}'
  AzureWebJobsStorage__tableServiceUri: 'https://${hostStorageName}.table.${storageSuffix}'
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  SubmissionsStorage__blobServiceUri: 'https://${dataStorageName}.blob.${storageSuffix}'
  SubmissionsStorage__queueServiceUri: 'https://${dataStorageName}.queue.${storageSuffix}'
  SubmissionsStorage__tableServiceUri: 'https://${dataStorageName}.table.${storageSuffix}'
  SubmissionsStorage__credential: 'managedidentity'
  SubmissionsStorage__clientId: identity.properties.clientId
  // Libraries that look for an identity by themselves find the user-assigned one only under this name.
  AZURE_CLIENT_ID: identity.properties.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  SIMULATION_MARKS: simulationMarks
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  // The tag is how azd knows where to put the code.
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: publishingAccess
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: 'https://${hostStorageName}.blob.${storageSuffix}/${packageContainerName}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
        }
      }
      runtime: { name: 'python', version: pythonVersion }
      // How many messages an instance takes at once stands in host.json.
      scaleAndConcurrency: { instanceMemoryMB: instanceMemoryMB, maximumInstanceCount: maximumInstanceCount }
    }
    siteConfig: {
      // No `ftpsState`: Flex Consumption has no FTP and refuses the deployment of an app that says so.
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      // Here, not in a resource of their own: the app never stands without its settings, not even for a minute.
      appSettings: map(items({ ...submissionSettings, ...platformSettings }), setting => {
        name: setting.key
        value: setting.value
      })
    }
  }

  // Code is published with an Entra token; the user name and password of a publishing profile are refused.
  resource scmPasswords 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource ftpPasswords 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    dependsOn: [scmPasswords] // a site refuses two changes of its policies at once
    properties: { allow: false }
  }
}
